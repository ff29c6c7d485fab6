/** Takes one of `options`, of which there is at least one. */
export type Choose = <T>(options: readonly T[]) => T;

/**
 * Runs `play` once for every way in which its choices can go, and returns how many ways there are. What is offered must
 * depend on the choices before alone. An error names the choices that led to it.
 */
export async function everyWay(play: (choose: Choose) => Promise<void>): Promise<number> {
  let path: { readonly taken: number; readonly of: number }[] = [];
  for (let ways = 1; ; ways++) {
    let at = 0;
    const told: string[] = [];
    const choose: Choose = (options) => {
      const step = path[at] ?? { taken: 0, of: options.length };
      path[at++] = step;
      if (step.of !== options.length) throw new Error('the same choices have led to something else');
      const option = options[step.taken];
      if (option === undefined) throw new Error('nothing to choose from');
      told.push(String(option));
      return option;
    };
    try {
      await play(choose);
    } catch (error) {
      throw new Error(`way ${ways}: ${told.join('; ')}`, { cause: error });
    }
    path = path.slice(0, at);
    while (path.length > 0 && (path.at(-1)?.taken ?? 0) + 1 === path.at(-1)?.of) path.pop();
    const last = path.pop();
    if (last === undefined) return ways;
    path.push({ taken: last.taken + 1, of: last.of });
  }
}
