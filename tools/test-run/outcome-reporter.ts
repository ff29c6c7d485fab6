import { writeFileSync } from 'node:fs';
import { stripVTControlCharacters } from 'node:util';
import type { Reporter, TestModule } from 'vitest/node';
import type { Outcome, Result } from './outcome.ts';

/** Names the file that the outcome is written to, as JSON. */
export const OUTCOME_FILE = 'SHARD_CONTROLLER_TEST_OUTCOME';

const LINE_LIMIT = 300;

/** Writes what a run came to, with what vitest's own JSON leaves out: errors outside of any test. */
export default class OutcomeReporter implements Reporter {
  readonly onTestRunEnd: NonNullable<Reporter['onTestRunEnd']> = (modules, unhandledErrors) => {
    const path = process.env[OUTCOME_FILE];
    if (path === undefined) throw new Error(`${OUTCOME_FILE} has to name the file for the outcome`);
    const outcome: Outcome = {
      results: modules.flatMap((module) => [...resultsOf(module)]),
      unhandled: unhandledErrors.map(firstLine),
    };
    writeFileSync(path, JSON.stringify(outcome));
  };
}

function* resultsOf(module: TestModule): Iterable<Result> {
  const file = module.relativeModuleId;
  const frame = (id: string, name: string, errors: readonly { readonly message: string }[]): Result => {
    const [error] = errors;
    return {
      id,
      file,
      name,
      type: 'frame',
      state: error ? 'failed' : 'passed',
      failure: error ? firstLine(error) : '',
    };
  };
  yield frame(module.id, '', module.errors());
  for (const suite of module.children.allSuites()) {
    const errors = suite.errors();
    if (errors.length > 0) yield frame(suite.id, suite.fullName, errors);
  }
  for (const test of module.children.allTests()) {
    const { state, errors } = test.result();
    const failure = state === 'failed' ? firstLine(errors[0] ?? { message: 'no reason given' }) : '';
    yield {
      id: test.id,
      file,
      name: test.fullName,
      type: 'test',
      state: state === 'pending' ? 'skipped' : state,
      failure,
    };
  }
}

function firstLine({ message }: { readonly message: string }): string {
  return stripVTControlCharacters(message.split('\n', 1)[0] ?? '').slice(0, LINE_LIMIT);
}
