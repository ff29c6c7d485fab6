import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { runSuite } from './suite.ts';
import type { Verdict } from './outcome.ts';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'suite-test-'));
  mkdirSync(join(folder, 'root'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** A run of the real vitest over these files; `once()` is true the first time that it is called with a name. */
async function run(files: Readonly<Record<string, string>>, runsAgain = true): Promise<Verdict> {
  const once = `
    import { existsSync, writeFileSync } from 'node:fs';
    const once = (name) => { const path = ${JSON.stringify(folder)} + '/' + name; if (existsSync(path)) return false; writeFileSync(path, ''); return true; };
  `;
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, 'root', name), once + text);
  const command = ['vitest', 'run', '--root', join(folder, 'root'), '--globals'];
  return await runSuite({ name: 'sample', command, runsAgain, isQuiet: true }, folder);
}

test('tests that pass, fail, are skipped, or pass when run again', async () => {
  const verdict = await run({
    'good.test.ts': `
      test('good', () => {});
      test.skip('later', () => {});
    `,
    'mixed.test.ts': `
      describe('group', () => {
        test('bad', () => expect(1).toBe(2));
        test('unlucky', () => expect(once('a')).toBe(false));
        test('good', () => {});
        test.each([1, 1])('twin %i', () => expect(once('b')).toBe(false));
      });
    `,
  });
  expect(verdict).toEqual({
    passed: 5,
    skipped: 1,
    failures: [expect.stringMatching(/^mixed.test.ts > group > bad: .*expected 1 to be 2/)],
    flaky: [
      expect.stringMatching(/^mixed.test.ts > group > unlucky: .*expected true to be false/),
      expect.stringMatching(/^mixed.test.ts > group > twin 1: .*expected true to be false/),
    ],
  });
});

test('a file that cannot be loaded has failed; a hook that fails once is flaky', async () => {
  const verdict = await run({
    'unloaded.test.ts': `import './missing.ts'; test('x', () => {});`,
    'hook.test.ts': `
      describe('group', () => {
        beforeAll(() => { if (once('a')) throw new Error('no server'); });
        test('x', () => {});
      });
    `,
  });
  expect(verdict).toEqual({
    passed: 1,
    skipped: 0,
    failures: [expect.stringMatching(/^unloaded.test.ts: .*missing/)],
    flaky: [expect.stringMatching(/^hook.test.ts > group: .*no server/)],
  });
});

test('an error outside of any test, and the end of the whole run, are failures although every test passed', async () => {
  const stray = `test('x', () => { if (once('a')) void Promise.reject(new Error('stray')); });`;
  expect(await run({ 'stray.test.ts': stray })).toMatchObject({
    failures: [expect.stringMatching(/^outside of any test: .*stray/)],
    flaky: [],
  });
  const ends = `test('x', () => { process.kill(process.ppid, 'SIGKILL'); return new Promise(() => {}); });`;
  expect((await run({ 'stray.test.ts': '', 'ends.test.ts': ends })).failures).toEqual([
    'sample: ended with SIGKILL and said nothing of its tests',
  ]);
});

test('a suite that needs no other process is not run again', async () => {
  const verdict = await run({ 'unlucky.test.ts': `test('x', () => expect(once('a')).toBe(false));` }, false);
  expect(verdict).toMatchObject({ passed: 0, flaky: [], failures: [expect.stringMatching(/unlucky.test.ts > x/)] });
});
