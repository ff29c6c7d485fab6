export { resolveBinary } from './binaries.ts';
export { type Cluster, startCluster } from './cluster.ts';
export {
  findProgram,
  KUBE_STATE_METRICS_IMAGE,
  productImages,
  WORKER_IMAGE,
} from './process-node/index.ts';
export type { ClusterNats } from './control-plane.ts';
