import { describe, expect, test } from 'vitest';
import { filesToRerun, judge, type Outcome, type Result, summary } from './outcome.ts';

function result(name: string, state: Result['state'], more: Partial<Result> = {}): Result {
  const file = more.file ?? 'a.test.ts';
  const failure = state === 'failed' ? `${name} is wrong` : '';
  return { id: `${file} ${name}`, file, name, type: name === '' ? 'frame' : 'test', state, failure, ...more };
}

const outcome = (...results: Result[]): Outcome => ({ results, unhandled: [] });
const file = result('', 'passed');
const hookFailed = result('group', 'failed', { type: 'frame', failure: 'no server' });

describe('one run', () => {
  test('is what its tests came to', () => {
    expect(judge(outcome(file, result('x', 'passed'), result('y', 'failed'), result('z', 'skipped')))).toEqual({
      passed: 1,
      skipped: 1,
      failures: ['a.test.ts > y: y is wrong'],
      flaky: [],
    });
  });

  test('has failed where a file could not be loaded, or something went wrong outside of any test', () => {
    const first = { ...outcome(result('', 'failed', { failure: 'no such module' })), unhandled: ['ECONNRESET'] };
    expect(judge(first).failures).toEqual(['a.test.ts: no such module', 'outside of any test: ECONNRESET']);
  });
});

describe('a second run of what failed', () => {
  test('shows who is flaky: counted as passed, and named with the first failure', () => {
    const first = outcome(file, result('x', 'failed'), result('y', 'failed'), result('z', 'passed'));
    const again = outcome(file, result('x', 'passed'), result('y', 'failed'), result('z', 'passed'));
    expect(judge(first, again)).toEqual({
      passed: 2,
      skipped: 0,
      failures: ['a.test.ts > y: y is wrong'],
      flaky: ['a.test.ts > x: x is wrong'],
    });
  });

  test('makes flaky what fails only then', () => {
    const first = outcome(file, result('x', 'failed'), result('y', 'passed'));
    const again = outcome(file, result('x', 'failed'), result('y', 'failed'));
    expect(judge(first, again)).toMatchObject({
      passed: 1,
      failures: ['a.test.ts > x: x is wrong'],
      flaky: ['a.test.ts > y: y is wrong'],
    });
  });

  test('forgives nothing that it did not run', () => {
    const first = outcome(file, result('x', 'failed'), hookFailed);
    expect(judge(first, outcome()).failures).toHaveLength(2);
    expect(judge(first, outcome(file, result('x', 'skipped'))).failures).toEqual(['a.test.ts > x: x is wrong']);
  });

  test('shows the tests of a file whose import or hook failed at first', () => {
    const tests = [result('x', 'passed'), result('y', 'passed')];
    const unloaded = outcome(result('', 'failed', { failure: 'ETIMEDOUT' }));
    expect(judge(unloaded, outcome(file, ...tests))).toMatchObject({ passed: 2, flaky: ['a.test.ts: ETIMEDOUT'] });
    const unhooked = outcome(file, hookFailed, result('x', 'skipped'), result('y', 'skipped'));
    expect(judge(unhooked, outcome(file, ...tests))).toEqual({
      passed: 2,
      skipped: 0,
      failures: [],
      flaky: ['a.test.ts > group: no server'],
    });
    expect(judge(unhooked, unhooked)).toMatchObject({ failures: ['a.test.ts > group: no server'], flaky: [] });
  });

  test('is of the files that had a failure, unless they are many', () => {
    const other = result('x', 'failed', { file: 'b.test.ts' });
    expect(filesToRerun(outcome(file, result('x', 'passed'), other, result('y', 'failed', other)))).toEqual([
      'b.test.ts',
    ]);
    const many = Array.from({ length: 11 }, (_, n) => result('x', 'failed', { file: `${n}.test.ts` }));
    expect(filesToRerun(outcome(...many))).toEqual([]);
  });
});

test('the summary ends with the flaky ones and the counts, each on a line of its own', () => {
  const quiet = { passed: 5, skipped: 0, failures: [], flaky: [] };
  expect(summary([quiet, quiet])).toBe('\n0 flaky\n10 passed, 0 failed\n');
  expect(summary([quiet, { passed: 2, skipped: 1, failures: ['a > x: 1'], flaky: ['b > y: 2'] }])).toBe(
    `
Failed:
  a > x: 1

Failed, and passed when run again by themselves:
  flaky: b > y: 2

1 flaky
7 passed, 1 failed, 1 skipped
`,
  );
});
