import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

const ssr = { resolve: { conditions: ['@shard/source'], externalConditions: ['@shard/source'] } };

/** Files that take a minute or more: begun last, one of them would run alone in the end. */
const LONG = ['/faults/faults.', '/outages.', '/worker/data-plane.', '/restored-backup.', '/moves.'];

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
          name: 'unit',
          include: ['{packages/*,e2e}/src/**/*.test.ts', 'tools/test-run/*.test.ts'],
          exclude: ['**/*.integration.test.ts', '**/*.e2e.test.ts'],
        },
      },
      {
        ssr,
        test: {
          name: 'integration',
          include: ['{packages/*,e2e}/src/**/*.integration.test.ts', 'tools/test-run/*.integration.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          // They mostly wait.
          maxWorkers: 4,
        },
      },
      {
        ssr,
        test: {
          name: 'e2e',
          include: ['e2e/src/**/*.e2e.test.ts'],
          testTimeout: 900_000,
          hookTimeout: 300_000,
          fileParallelism: false,
          maxWorkers: 1,
        },
      },
    ],
  },
});
