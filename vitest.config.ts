import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';
import { PATIENCE_MS } from './packages/shared/src/testing/index.ts';

const ssr = { resolve: { conditions: ['@shard/source'], externalConditions: ['@shard/source'] } };

/** Time limits end what hangs; they must not decide what is only slow. */
const waits = { expect: { poll: { timeout: PATIENCE_MS, interval: 20 } } };

/** Files that take a minute or more: begun last, one of them would run alone in the end. */
const LONG = [
  '/faults/faults.',
  '/outages.',
  '/worker/data-plane.',
  '/restored-backup.',
  '/moves.',
  '/exported-kinds.',
];

class LongFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification): number => {
      const at = LONG.findIndex((part) => moduleId.includes(part));
      return at < 0 ? LONG.length : at;
    };
    return (await super.sort(files)).sort((a, b) => rank(a) - rank(b));
  }
}

/** unit: no other process. integration: real NATS, API server, kube-state-metrics on random ports. e2e: the whole fleet. */
export default defineConfig({
  ssr,
  test: {
    sequence: { sequencer: LongFirst },
    // A failure says what was seen in its first line, which the summary of all suites repeats.
    chaiConfig: { truncateThreshold: 1_000 },
    projects: [
      {
        ssr,
        test: {
          ...waits,
          name: 'unit',
          testTimeout: 5 * PATIENCE_MS,
          hookTimeout: 5 * PATIENCE_MS,
          include: [
            '{packages/*,helm,e2e}/src/**/*.test.ts',
            'tools/*.test.ts',
            'tools/{generate,rooms,test-run}/*.test.ts',
          ],
          exclude: ['**/*.integration.test.ts', '**/*.e2e.test.ts'],
        },
      },
      {
        ssr,
        test: {
          ...waits,
          name: 'integration',
          include: ['{packages/*,e2e}/src/**/*.integration.test.ts', 'tools/{images,test-run}/*.integration.test.ts'],
          testTimeout: 5 * PATIENCE_MS,
          hookTimeout: 5 * PATIENCE_MS,
          // They mostly wait.
          maxWorkers: 4,
        },
      },
      {
        ssr,
        test: {
          ...waits,
          name: 'e2e',
          include: ['e2e/src/**/*.e2e.test.ts'],
          testTimeout: 10 * PATIENCE_MS,
          hookTimeout: 5 * PATIENCE_MS,
          fileParallelism: false,
          maxWorkers: 1,
        },
      },
    ],
  },
});
