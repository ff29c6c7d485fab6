/** A value to write as JSON; `members` may repeat keys, which no object of JavaScript can. */
export type JsonValue = string | number | boolean | null | readonly JsonValue[] | { readonly members: Members };
export type Members = readonly (readonly [key: string, value: JsonValue])[];

/**
 * JSON text of `value` as any encoder might write it: white space anywhere, any character of a string escaped or not.
 * `random` decides, uniform in [0, 1).
 */
export function writeJson(value: JsonValue, random: () => number): string {
  const pick = (choices: readonly string[]): string => choices[Math.floor(random() * choices.length)] ?? '';
  const space = (): string => pick(['', '', '', '', ' ', '\t', '\r', '  ']);
  const join = (parts: readonly string[]): string => parts.join(',');
  const character = (each: string): string => {
    const code = each.charCodeAt(0);
    const isBare = each !== '"' && each !== '\\' && code >= 0x20 && !(code >= 0xd800 && code <= 0xdfff);
    if (isBare && random() > 0.05) return each;
    const short = { '"': '\\"', '\\': '\\\\', '\n': '\\n', '/': '\\/' }[each];
    return short ?? `\\u${code.toString(16).padStart(4, '0')}`;
  };
  // By code units: half a pair that is escaped needs the other half escaped.
  const string = (text: string): string => `"${text.split('').map(character).join('')}"`;
  const write = (each: JsonValue): string => {
    if (typeof each === 'string') return space() + string(each) + space();
    if (typeof each !== 'object' || each === null) return space() + JSON.stringify(each) + space();
    if (!('members' in each)) return `${space()}[${join(each.map(write)) || space()}]${space()}`;
    const members = each.members.map(([key, inner]) => `${space()}${string(key)}${space()}:${write(inner)}`);
    return `${space()}{${join(members) || space()}}${space()}`;
  };
  return write(value);
}

/** A sequence of numbers that `seed` decides (mulberry32). */
export function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
