export { BinaryMissingError, type BinaryName, resolveBinary, resolveBinaries, resolveKwokStages } from './binaries.ts';
export { type AddNodeOptions, Cluster, type ClusterOptions, startCluster } from './cluster.ts';
export { API_SERVER_PORT, API_SERVER_URL, NATS_MONITOR_PORT, NATS_PORT, NATS_URL } from './control-plane.ts';
export { kubeconfig } from './credentials.ts';
export { ManagedProcess, ProcessStartError } from './managed-process.ts';
export {
  type ImageCatalog,
  type ImageProgram,
  KUBE_STATE_METRICS_IMAGE,
  MANAGER_IMAGE,
  type Peer,
  type Pod,
  ProcessNode,
  source,
  WORKER_IMAGE,
} from './process-node/index.ts';
