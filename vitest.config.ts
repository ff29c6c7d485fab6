import { defineConfig } from 'vitest/config';

const ssr = { resolve: { conditions: ['@shard/source'], externalConditions: ['@shard/source'] } };

/** unit: no process, no port. integration: real NATS, real API server. e2e: the whole fleet. */
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
          testTimeout: 60_000,
          hookTimeout: 120_000,
          fileParallelism: false,
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
