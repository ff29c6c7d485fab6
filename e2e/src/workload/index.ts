export { Churn } from './churn.ts';
export {
  CUSTOM_GROUP,
  CUSTOM_RESOURCE_STATE,
  fakeNode,
  type Kind,
  KINDS,
  LABELS_ALLOWLIST,
  pathOf,
  pod,
  WIDGET_DEFINITION,
} from './kinds.ts';
export { Random } from './random.ts';
export { Workload } from './workload.ts';
