export { decide, standardTables } from './decide.ts';
export { type Desired, desired, type DesiredStatefulSet } from './desired.ts';
export { type ConditionType, describeStatus, type DesiredCondition, type DesiredStatus } from './status.ts';
