import { runComponents } from '@shard-controller/shared/runtime';
import { identityOf } from './settings.ts';
import { Worker, type WorkerOptions } from './worker.ts';

export interface WorkerDependencies extends Omit<WorkerOptions, 'identity'> {
  /** Aborts when the worker has to drain and end. */
  readonly signal: AbortSignal;
}

const STOP_GRACE_MS = 8000;

/** Builds a worker and runs it until it has drained. @throws coded errors that name the thing and the remedy. */
export async function runWorker(dependencies: WorkerDependencies): Promise<void> {
  const { config, clock, signal } = dependencies;
  const identity = identityOf(config);
  const logger = dependencies.logger.child({ shardConfig: config.SHARD_CONFIG, shard: identity.shardId });
  logger.info({ pod: identity.pod, replica: identity.replica, boot: identity.boot }, 'starting');
  const worker = new Worker({ ...dependencies, logger, identity });
  const end = new AbortController();
  const drain = (): void => void worker.drain().finally(() => end.abort());
  if (signal.aborted) drain();
  else signal.addEventListener('abort', drain, { once: true });
  try {
    await runComponents(worker.components(), { signal: end.signal, logger, graceMs: STOP_GRACE_MS, clock });
  } finally {
    await worker.close();
  }
  logger.info('stopped');
}
