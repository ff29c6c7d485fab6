import { createLogger } from '@shard-controller/shared/observability';
import { runMain, systemClock } from '@shard-controller/shared/runtime';
import { loadWorkerConfig } from './config.ts';
import { runWorker } from './run-worker.ts';

/** Longer than the longest drain that can be configured: the pod's grace period ends a worker that hangs. */
const END_MS = 3_700_000;

await runMain(
  async (signal) => {
    const environment = process.env;
    const config = loadWorkerConfig(environment);
    const logger = createLogger({ name: 'worker', level: config.LOG_LEVEL });
    await runWorker({ config, environment, logger, clock: systemClock, signal });
  },
  { logger: createLogger({ name: 'worker' }), graceMs: END_MS },
);
