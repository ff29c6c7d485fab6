import { execFileSync } from 'node:child_process';

/** What each binary says about itself with `--help`: what it does not know yet, or no longer, ends it at its start. */
const texts = new Map<string, string>();

function helpOf(executable: string): string {
  const known = texts.get(executable);
  if (known !== undefined) return known;
  const text = execFileSync(executable, ['--help'], { encoding: 'utf8', maxBuffer: 16 * 1024 * 1024 });
  texts.set(executable, text);
  return text;
}

/** Those of `wanted` that this version of the API server has, in the form of `--feature-gates`. */
export function featureGates(executable: string, wanted: Readonly<Record<string, boolean>>): string {
  const help = helpOf(executable);
  return Object.entries(wanted)
    .filter(([gate]) => help.includes(`${gate}=true|false`))
    .map(([gate, on]) => `${gate}=${on}`)
    .join(',');
}

/** `--controllers` for all of them but `without`, as far as this version knows those. */
export function controllersWithout(executable: string, without: readonly string[]): string {
  const help = helpOf(executable);
  return ['*', ...without.filter((name) => help.includes(name)).map((name) => `-${name}`)].join(',');
}

/** 34 for v1.34.4. */
export function minorVersion(executable: string): number {
  const said = execFileSync(executable, ['--version'], { encoding: 'utf8' });
  return Number(/v1\.(\d+)\./.exec(said)?.[1]);
}
