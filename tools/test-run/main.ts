/** Runs the static checks and all suites; the last line adds them up. Each runs even when one before it failed. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { summary, type Verdict } from './outcome.ts';
import { runSuite, type Suite } from './suite.ts';

const RUN = 'tools/run.sh';
const SUITES: readonly Suite[] = [
  { name: 'unit', command: [RUN, '--node-only', 'vitest', 'run', '--project', 'unit'], runsAgain: false },
  { name: 'integration', command: [RUN, 'vitest', 'run', '--project', 'integration'], runsAgain: true },
  { name: 'e2e', command: [RUN, 'e2e/test.sh'], runsAgain: true },
];

/** The script prints `check: <step> ok` or `… FAILED` for each step, and both counts at the end. */
async function runChecks(): Promise<Verdict> {
  const child = spawn(RUN, ['--node-only', 'tools/check.sh'], { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  for await (const chunk of child.stdout.setEncoding('utf8')) {
    text += String(chunk);
    process.stdout.write(String(chunk));
  }
  const counts = /^check: (\d+) passed, \d+ failed$/m.exec(text);
  const failures = Array.from(text.matchAll(/^(check: \S+) +FAILED/gm), ([, step]) => `${step}: see above`);
  if (counts === null) failures.push('check: ended before it had done all its steps');
  return { passed: Number(counts?.[1] ?? 0), skipped: 0, failures, flaky: [] };
}

const folder = mkdtempSync(join(tmpdir(), 'test-run-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
const verdicts = [await runChecks()];
for (const suite of SUITES) verdicts.push(await runSuite(suite, folder));
process.stdout.write(summary(verdicts));
process.exitCode = verdicts.every(({ failures }) => failures.length === 0) ? 0 : 1;
