/** A test, or what stands around tests: a file, or a `describe` whose hook failed. */
export interface Result {
  /** The same in every run of the same file. */
  readonly id: string;
  /** Relative to the root of the checkout. */
  readonly file: string;
  /** Empty for the file itself: its imports, its hooks. */
  readonly name: string;
  readonly type: 'test' | 'frame';
  readonly state: 'passed' | 'failed' | 'skipped';
  /** The first line of what went wrong; empty unless it failed. */
  readonly failure: string;
}

/** What one run of vitest came to. */
export interface Outcome {
  readonly results: readonly Result[];
  /** Errors that belong to no test: something went on after it, or beside all of them. */
  readonly unhandled: readonly string[];
}

/** What all runs of a suite came to. */
export interface Verdict {
  readonly passed: number;
  readonly skipped: number;
  /** One line each. */
  readonly failures: readonly string[];
  /** One line each; they count as passed. */
  readonly flaky: readonly string[];
}

/** Beyond this it is no bad luck, and to run all of it again takes too long. */
const RERUN_LIMIT = 10;

/** Files to run once more by themselves. */
export function filesToRerun({ results }: Outcome): readonly string[] {
  const failed = new Set(results.filter(({ state }) => state === 'failed').map(({ file }) => file));
  return failed.size > RERUN_LIMIT ? [] : [...failed];
}

/**
 * A test that both failed and passed is flaky; one that only failed has failed.
 * @param again the run of the files that had a failure; undefined where there was none, or where it came to nothing.
 */
export function judge(first: Outcome, again?: Outcome): Verdict {
  const second = new Map(again?.results.map((result) => [result.id, result]));
  const failures: string[] = [];
  const flaky: string[] = [];
  const states: Result['state'][] = [];
  for (const result of first.results) {
    const repeated = second.get(result.id) ?? silentPass(result, second);
    const failed = [result, repeated].find((each) => each?.state === 'failed');
    const isFlaky = failed !== undefined && [result, repeated].some((each) => each?.state === 'passed');
    if (failed !== undefined) (isFlaky ? flaky : failures).push(lineOf(failed));
    else if (result.type === 'test') states.push(repeated?.state ?? result.state);
    if (isFlaky && result.type === 'test') states.push('passed');
  }
  const known = new Set(first.results.map(({ id }) => id));
  for (const result of again?.results ?? []) {
    if (known.has(result.id)) continue;
    // A file that could not be loaded at first has shown its tests only now.
    if (result.state === 'failed') failures.push(lineOf(result));
    else if (result.type === 'test') states.push(result.state);
  }
  for (const text of [...first.unhandled, ...(again?.unhandled ?? [])]) failures.push(`outside of any test: ${text}`);
  return {
    passed: states.filter((state) => state === 'passed').length,
    skipped: states.filter((state) => state === 'skipped').length,
    failures,
    flaky,
  };
}

/** A `describe` is reported only when it fails: in a file that was loaded it has passed otherwise. */
function silentPass(result: Result, second: ReadonlyMap<string, Result>): Result | undefined {
  if (result.type === 'test' || result.name === '') return undefined;
  const isLoaded = [...second.values()].some(
    ({ file, name, state }) => file === result.file && name === '' && state === 'passed',
  );
  return isLoaded ? { ...result, state: 'passed' } : undefined;
}

function lineOf({ file, name, failure }: Result): string {
  return `${name === '' ? file : `${file} > ${name}`}: ${failure}`;
}

/** The last lines of a run of all suites. */
export function summary(verdicts: readonly Verdict[]): string {
  const failures = verdicts.flatMap(({ failures }) => failures);
  const flaky = verdicts.flatMap(({ flaky }) => flaky);
  const sum = (of: (verdict: Verdict) => number): number => verdicts.reduce((total, each) => total + of(each), 0);
  const skipped = sum((verdict) => verdict.skipped);
  const counts = `${sum(({ passed }) => passed)} passed, ${failures.length} failed`;
  return [
    ...(failures.length === 0 ? [] : ['', 'Failed:', ...failures.map((line) => `  ${line}`)]),
    ...(flaky.length === 0 ? [] : ['', 'Failed, and passed when run again by themselves:']),
    ...flaky.map((line) => `  flaky: ${line}`),
    '',
    `${flaky.length} flaky`,
    skipped === 0 ? counts : `${counts}, ${skipped} skipped`,
    '',
  ].join('\n');
}
