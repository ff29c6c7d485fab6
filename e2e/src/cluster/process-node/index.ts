export { findProgram, KUBE_STATE_METRICS_IMAGE, productImages, WORKER_IMAGE } from './images.ts';
export { PodAddresses } from './pod-addresses.ts';
export { deletePodNetwork, podNetworkNames } from './pod-network.ts';
export { ProcessNode, type ProcessNodeOptions } from './process-node.ts';
export { processes, signalAll } from './processes.ts';
