import { spawn } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { OUTCOME_FILE } from './outcome-reporter.ts';
import { filesToRerun, judge, type Outcome, type Verdict } from './outcome.ts';

const REPORTER = join(import.meta.dirname, 'outcome-reporter.ts');
/** One file after the other, so that none disturbs another. */
const BY_THEMSELVES = ['--no-file-parallelism'];

export interface Suite {
  readonly name: string;
  /** A run of vitest; more arguments may follow. */
  readonly command: readonly string[];
  /** Whether files with a failure are run once more: those that depend on other processes. */
  readonly runsAgain: boolean;
  /** What it prints goes nowhere, instead of on to this process's output. */
  readonly isQuiet?: boolean;
}

/** Runs a suite; `folder` takes files of the run. */
export async function runSuite(suite: Suite, folder: string): Promise<Verdict> {
  const { name, runsAgain } = suite;
  heading(suite, name);
  const first = await runVitest(suite, [], folder);
  if (first.outcome === undefined) {
    return { ...NOTHING, failures: [`${name}: ended with ${first.status} and said nothing of its tests`] };
  }
  if (!isExplained(first)) {
    return { ...judge(first.outcome), failures: [`${name}: ended with ${first.status}, though no test failed`] };
  }
  const files = runsAgain ? filesToRerun(first.outcome) : [];
  if (files.length === 0) return judge(first.outcome);
  heading(suite, `${name}: once more what failed: ${files.join(' ')}`);
  const again = await runVitest(suite, [...BY_THEMSELVES, ...files], folder);
  return judge(first.outcome, isExplained(again) ? again.outcome : undefined);
}

const NOTHING: Verdict = { passed: 0, skipped: 0, failures: [], flaky: [] };

/** Whether what is known of the tests is why the run ended as it did: a run that crashes has not tested everything. */
function isExplained({ status, outcome }: Run): boolean {
  if (outcome === undefined) return false;
  return status === '0' || outcome.unhandled.length > 0 || outcome.results.some(({ state }) => state === 'failed');
}

function heading({ isQuiet }: Suite, text: string): void {
  if (isQuiet !== true) process.stdout.write(`\n== ${text} ==\n`);
}

interface Run {
  readonly status: string;
  /** Undefined when it ended before it could say. */
  readonly outcome: Outcome | undefined;
}

async function runVitest({ command, isQuiet }: Suite, more: readonly string[], folder: string): Promise<Run> {
  const [program = '', ...parameters] = command;
  const path = join(folder, 'outcome.json');
  rmSync(path, { force: true });
  const child = spawn(program, [...parameters, ...more, '--reporter=default', `--reporter=${REPORTER}`], {
    stdio: isQuiet === true ? 'ignore' : 'inherit',
    env: { ...process.env, [OUTCOME_FILE]: path },
  });
  const status = await new Promise<string>((resolve) => {
    child.on('error', ({ message }) => resolve(message));
    child.on('close', (code, signal) => resolve(String(code ?? signal)));
  });
  return { status, outcome: readOutcome(path) };
}

function readOutcome(path: string): Outcome | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Outcome;
  } catch {
    return undefined;
  }
}
