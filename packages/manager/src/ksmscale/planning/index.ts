export { NAME_LABEL, KSM_NAME, MANAGED_LABEL, SCALE_LABEL, SHARD_LABEL } from './labels.ts';
export { isLive, isServing, type ObservedNode, type ObservedObject, type ObservedPod } from './observation.ts';
export { type Action, passResult, plan, type Plan, type View } from './plan.ts';
export { type PodManifest, type PodSettings } from './pod-manifest.ts';
