export { Churn, type ChurnCounts, type ChurnMode } from './churn.ts';
export { CUSTOM_GROUP, CUSTOM_RESOURCE_STATE, LABELS_ALLOWLIST } from './kinds.ts';
export { Workload, type WorkloadOptions } from './workload.ts';
