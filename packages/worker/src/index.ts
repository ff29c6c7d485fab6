export { loadWorkerConfig, type WorkerConfig } from './config.ts';
export { runWorker, type WorkerDependencies } from './run-worker.ts';
