export { KubernetesClient } from './client.ts';
export type {
  ApplyRequest,
  CallOptions,
  DeleteOptions,
  KubernetesClientOptions,
  KubernetesRequest,
  PatchOptions,
  ResponseHeaders,
  StreamRequest,
  StreamResponse,
} from './client-types.ts';
export { discard } from './discard.ts';
export { DiscoveryCache, discoveryPath, type ServedKind } from './discovery-cache.ts';
export {
  EndpointError,
  type InClusterOptions,
  type KubernetesEndpoint,
  type StaticEndpointOptions,
  inClusterEndpoint,
  staticEndpoint,
} from './endpoint.ts';
export {
  KubernetesError,
  type KubernetesErrorCode,
  type KubernetesErrorFields,
  errorOfResponse,
  isAborted,
  isConflict,
  isGone,
  isNotFound,
  parseRetryAfter,
} from './kubernetes-error.ts';
export type { KubernetesObject, ObjectList, ObjectMeta, OwnerReference } from './objects.ts';
export type { Query } from './request-encoding.ts';
export { type ResourceAddress, resourcePath } from './resource-path.ts';
export { causeOfError, causeOfStatus, type FailureCause } from './failure-cause.ts';
