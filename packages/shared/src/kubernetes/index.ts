export { type BackoffOptions, fullJitter } from './backoff.ts';
export {
  type ApplyRequest,
  type CallOptions,
  type DeleteOptions,
  KubernetesClient,
  type KubernetesClientOptions,
  type KubernetesRequest,
  type PatchOptions,
  type ResponseHeaders,
  type StreamRequest,
  type StreamResponse,
} from './client.ts';
export { discard } from './discard.ts';
export {
  EndpointError,
  inClusterEndpoint,
  type InClusterOptions,
  type KubernetesEndpoint,
  staticEndpoint,
  type StaticEndpointOptions,
} from './endpoint.ts';
export { type EventNote, EventRecorder, type EventRecorderOptions } from './event-recorder.ts';
export {
  isAborted,
  isConflict,
  isGone,
  isNotFound,
  KubernetesError,
  type KubernetesErrorCode,
  type KubernetesErrorFields,
  parseRetryAfter,
} from './kubernetes-error.ts';
export { LeaseElector, type LeaseElectorOptions, LeaseTimingError } from './lease-elector.ts';
export type { Invalid, Parsed } from './object-cache.ts';
export type { KubernetesObject, ObjectList, ObjectMeta, OwnerReference } from './objects.ts';
export { Reflector, type ReflectorHandler, type ReflectorOptions } from './reflector.ts';
export type { ReflectorFailureCause } from './reflector-failure.ts';
export { type ReflectorMetrics, reflectorMetrics } from './reflector-metrics.ts';
export type { Query } from './request-encoding.ts';
export { type ResourceAddress, resourcePath } from './resource-path.ts';
export { compareResourceVersion, ResourceVersionError } from './resource-version.ts';
export { WorkQueue, WorkQueueError, type WorkQueueOptions } from './work-queue.ts';
