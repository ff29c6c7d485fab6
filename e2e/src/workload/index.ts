export { Churn } from './churn.ts';
export { CUSTOM_GROUP, CUSTOM_RESOURCE_STATE, LABELS_ALLOWLIST } from './kinds.ts';
export { Random } from './random.ts';
export { Workload } from './workload.ts';
