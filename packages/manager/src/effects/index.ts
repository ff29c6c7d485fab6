export { AssignmentPublisher, assignmentValues } from './assignments.ts';
export { kubernetesEndpoint } from './kubernetes-endpoint.ts';
export { retryStatefulSet } from './stateful-set-retry.ts';
export {
  type KindReport,
  type ManagerHold,
  statusOf,
  StatusWriter,
  withNotes,
  withHold,
  withPodProblems,
  withUnavailableKinds,
  type WorkerNote,
} from './status.ts';
export { teardown } from './teardown.ts';
export { templateRevision } from './worker-pod.ts';
export { type ObservedObjects, Reconciler, type ReconcileOutcome } from './reconciler.ts';
