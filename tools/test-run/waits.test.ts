import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '..', '..');

/** What lets a test pass on one machine and fail on another, and what to write instead. */
const RULES = [
  { pattern: /vi\.wait(For|Until)\(/, instead: 'expect.poll, whose patience the configuration gives' },
  { pattern: /\.poll\([^;]*\btimeout:/, instead: 'expect.poll without a time limit of its own' },
  { pattern: /setTimeout\(resolve|setTimeout as/, instead: 'elapse, or waitUntil for what has to come' },
  {
    pattern: /\.now\(\) - \w+\)\.toBeLessThan\((?!60_000)/,
    instead: 'OwnTime, or a limit as long as what it must not take',
  },
] as const;

/** Statements of a test file, each from its first line on. */
function* statements(path: string): Iterable<{ readonly line: number; readonly text: string }> {
  let line = 1;
  for (const text of readFileSync(join(ROOT, path), 'utf8').split(/(?<=;\n)/)) {
    yield { line, text };
    line += text.split('\n').length - 1;
  }
}

test('no test depends on how fast the machine is', () => {
  const files = globSync(['{packages/*,helm,e2e}/src/**/*.test.ts'], { cwd: ROOT });
  const found = files.flatMap((path) =>
    Array.from(statements(path)).flatMap(({ line, text }) =>
      RULES.filter(({ pattern }) => pattern.test(text)).map(({ instead }) => `${path}:${line}: ${instead}`),
    ),
  );
  expect(files.length).toBeGreaterThan(100);
  expect(found).toEqual([]);
});
