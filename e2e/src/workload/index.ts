export { Churn } from './churn.ts';
export { CUSTOM_GROUP, CUSTOM_RESOURCE_STATE, KINDS, LABELS_ALLOWLIST, pathOf } from './kinds.ts';
export { Workload } from './workload.ts';
