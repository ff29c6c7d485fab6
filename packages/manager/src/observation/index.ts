export { ClusterView, type ClusterViewHandler, type InvalidConfig } from './cluster-view.ts';
export { ListeningPeriod } from './listening-period.ts';
export { listenForHeartbeats } from './heartbeats.ts';
export { loadMarks } from './load-progress.ts';
export type { MessageLink } from './message-link.ts';
export { ping } from './ping.ts';
export { type PodProblem, wantedPods } from './pod-problems.ts';
export { PodWatch } from './pod-watch.ts';
export { scraperProgress } from './scrapers.ts';
export {
  hasShown,
  loadOf,
  observeShard,
  type ShardSources,
  signsOf,
  standbySigns,
  type WorkerSources,
} from './shard-view.ts';
export type { WorkerPod } from './worker-pods.ts';
export { WorkerRegistry } from './worker-registry.ts';
