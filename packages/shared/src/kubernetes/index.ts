export {
  type ApplyRequest,
  type CallOptions,
  type DeleteOptions,
  KubernetesClient,
  type KubernetesClientOptions,
  type KubernetesRequest,
  type PatchOptions,
  type Query,
  type ResponseHeaders,
  type StreamRequest,
  type StreamResponse,
} from './client.ts';
export {
  EndpointError,
  inClusterEndpoint,
  type InClusterOptions,
  type KubernetesEndpoint,
  staticEndpoint,
  type StaticEndpointOptions,
} from './endpoint.ts';
export {
  isAborted,
  isConflict,
  isGone,
  isNotFound,
  KubernetesError,
  type KubernetesErrorCode,
  type KubernetesErrorFields,
} from './kubernetes-error.ts';
export type { KubernetesObject, ObjectList, ObjectMeta, OwnerReference } from './objects.ts';
export { type ResourceAddress, resourcePath } from './resource-path.ts';
export { compareResourceVersion, ResourceVersionError } from './resource-version.ts';
