import { defineConfig } from 'vitest/config';

const ssr = { resolve: { conditions: ['@shard/source'], externalConditions: ['@shard/source'] } };

/** unit: no other process. integration: real NATS, API server, kube-state-metrics on random ports. e2e: the whole fleet. */
export default defineConfig({
  ssr,
  test: {
    projects: [
      {
        ssr,
        test: {
          name: 'unit',
          include: ['{packages/*,e2e}/src/**/*.test.ts'],
          exclude: ['**/*.integration.test.ts', '**/*.e2e.test.ts'],
        },
      },
      {
        ssr,
        test: {
          name: 'integration',
          include: ['{packages/*,e2e}/src/**/*.integration.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          // They mostly wait.
          maxWorkers: 3,
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
