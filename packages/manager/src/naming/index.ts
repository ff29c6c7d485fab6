export {
  CONFIG_LABEL,
  configLabels,
  FIELD_MANAGER,
  type PodRole,
  REPLICA_LABEL,
  RETRIED_ANNOTATION,
  REVISION_LABEL,
  selectorText,
  userLabels,
  workerLabels,
  workerSelector,
} from './labels.ts';
export { metricsServiceName, statefulSetName } from './object-names.ts';
export { type ConfigIdentity, ownerReference } from './owner.ts';
