export {
  findProgram,
  type ImageCatalog,
  type ImageProgram,
  KUBE_STATE_METRICS_IMAGE,
  MANAGER_IMAGE,
  productImages,
  source,
  WORKER_IMAGE,
} from './images.ts';
export { type Pod } from './pod.ts';
export { PodAddresses } from './pod-addresses.ts';
export type { Peer } from './pod-network.ts';
export { ProcessNode, type ProcessNodeOptions } from './process-node.ts';
