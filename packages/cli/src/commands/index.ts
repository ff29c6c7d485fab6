export { drawChecks, runChecks } from './check.ts';
export { drawDecisions, drawExplanation } from './decisions.ts';
export { diagnose } from './diagnose.ts';
export { drawTop, drawTree, isSortKey } from './get.ts';
export { drawPlans } from './plan.ts';
export { drawStatus, isReady } from './status.ts';
export { countKinds, drawCounts, isEqual } from './verify.ts';
export { drawPlaces, findObject, type Place, placeOf, slotIn } from './where.ts';
