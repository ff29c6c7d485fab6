import { isRecord } from '../../runtime/index.ts';

/** Stable codes of KubernetesError. */
export type KubernetesErrorCode =
  /** The caller ended the request. @remedy none. */
  | 'SC_KUBERNETES_ABORTED'
  /** The API server answered with a status that has no code of its own. @remedy as the message of the API server says. */
  | 'SC_KUBERNETES_API'
  /** The answer is not what the Kubernetes API promises. @remedy check the URL of the API server and what stands before it. */
  | 'SC_KUBERNETES_BAD_ANSWER'
  /** 409: the object has changed, or another field manager owns the field. @remedy none: it is read again. If it repeats, find the other writer. */
  | 'SC_KUBERNETES_CONFLICT'
  /** 403: a permission is missing. @remedy grant the permission that the message names. */
  | 'SC_KUBERNETES_FORBIDDEN'
  /** 410: the resourceVersion is too old. @remedy none: it is listed again. */
  | 'SC_KUBERNETES_GONE'
  /** 422: the API server refuses the object. @remedy as the message of the API server says; for objects that the manager makes it is a defect. */
  | 'SC_KUBERNETES_INVALID'
  /** 404: the object, or the kind, does not exist. @remedy create it, or install its CustomResourceDefinition. */
  | 'SC_KUBERNETES_NOT_FOUND'
  /** 429: the API server asks to wait. @remedy none: it is tried again. If it repeats, look at its priority levels and flow schemas. */
  | 'SC_KUBERNETES_THROTTLED'
  /** No answer in time. @remedy check the load of the API server and the network. */
  | 'SC_KUBERNETES_TIMEOUT'
  /** No trusted TLS connection. @remedy correct the CA in `ca.crt`, or find the proxy in between. */
  | 'SC_KUBERNETES_TLS'
  /** 401: the token is missing, expired or of another cluster. @remedy check the projected ServiceAccount token. */
  | 'SC_KUBERNETES_UNAUTHORIZED'
  /** 503: the API server cannot serve now. @remedy check the API server and its etcd. */
  | 'SC_KUBERNETES_UNAVAILABLE'
  /** The API server serves no such kind. @remedy install its CustomResourceDefinition, or correct apiVersion and kind. */
  | 'SC_KUBERNETES_UNKNOWN_KIND'
  /** The API server cannot be reached. @remedy check its address, that it runs, and that a NetworkPolicy lets the pod through. */
  | 'SC_KUBERNETES_UNREACHABLE';

export interface KubernetesErrorFields {
  readonly code: KubernetesErrorCode;
  /** HTTP status, or 0 when no answer came. */
  readonly status: number;
  /** `reason` of the server's Status (`NotFound`, `Expired`, …), else the system's error code or a word of ours. */
  readonly reason: string;
  readonly method: string;
  readonly path: string;
  readonly message: string;
  /** What the server asked us to wait, ms. */
  readonly retryAfterMs?: number | undefined;
  readonly cause?: unknown;
}

/** A request to the Kubernetes API that did not succeed. The message names verb, path, reason and remedy. */
export class KubernetesError extends Error {
  override readonly name = 'KubernetesError';
  readonly code: KubernetesErrorCode;
  readonly status: number;
  readonly reason: string;
  readonly retryAfterMs: number | undefined;
  readonly method: string;
  readonly path: string;

  constructor(fields: KubernetesErrorFields) {
    super(fields.message, fields.cause === undefined ? undefined : { cause: fields.cause });
    this.code = fields.code;
    this.status = fields.status;
    this.reason = fields.reason;
    this.retryAfterMs = fields.retryAfterMs;
    this.method = fields.method;
    this.path = fields.path;
  }
}

/** 404: the object, its namespace or its kind does not exist. */
export function isNotFound(error: unknown): error is KubernetesError {
  return error instanceof KubernetesError && error.status === 404;
}

/** 409: the object exists already, was changed meanwhile, or a field belongs to another manager. */
export function isConflict(error: unknown): error is KubernetesError {
  return error instanceof KubernetesError && error.status === 409;
}

/** 410: the resourceVersion or continue token is no longer served; list again. */
export function isGone(error: unknown): error is KubernetesError {
  return error instanceof KubernetesError && error.status === 410;
}

/** The caller's own signal ended the request. */
export function isAborted(error: unknown): error is KubernetesError {
  return error instanceof KubernetesError && error.code === 'SC_KUBERNETES_ABORTED';
}

export interface RequestIdentity {
  readonly method: string;
  readonly path: string;
}

interface StatusObject {
  readonly message: string | undefined;
  readonly reason: string | undefined;
  readonly retryAfterSeconds: number | undefined;
}

/** Turns an answer with status >= 400 into an error. `body` is the answer's text, at best a `Status` object. */
export function errorOfResponse(
  request: RequestIdentity,
  status: number,
  body: string,
  retryAfterMs: number | undefined,
): KubernetesError {
  const parsed = parseStatusObject(body);
  const said = parsed.message ?? (body.trim() === '' ? 'no message' : body.trim().slice(0, 500));
  const reason = parsed.reason ?? REASONS[status] ?? `HTTP ${status}`;
  const wait = retryAfterMs ?? (parsed.retryAfterSeconds === undefined ? undefined : parsed.retryAfterSeconds * 1000);
  return new KubernetesError({
    ...request,
    code: codeOfStatus(status),
    status,
    reason,
    retryAfterMs: wait,
    message: withRemedy(
      `${request.method} ${request.path} failed with ${status} ${reason}: ${said}`,
      remedyOf(status, said),
    ),
  });
}

const REASONS: Readonly<Record<number, string>> = {
  400: 'BadRequest',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'NotFound',
  409: 'Conflict',
  410: 'Expired',
  422: 'Invalid',
  429: 'TooManyRequests',
  500: 'InternalError',
  503: 'ServiceUnavailable',
  504: 'Timeout',
};

const CODES: Readonly<Record<number, KubernetesErrorCode>> = {
  401: 'SC_KUBERNETES_UNAUTHORIZED',
  403: 'SC_KUBERNETES_FORBIDDEN',
  404: 'SC_KUBERNETES_NOT_FOUND',
  409: 'SC_KUBERNETES_CONFLICT',
  410: 'SC_KUBERNETES_GONE',
  422: 'SC_KUBERNETES_INVALID',
  429: 'SC_KUBERNETES_THROTTLED',
  503: 'SC_KUBERNETES_UNAVAILABLE',
  504: 'SC_KUBERNETES_TIMEOUT',
};

function codeOfStatus(status: number): KubernetesErrorCode {
  return CODES[status] ?? 'SC_KUBERNETES_API';
}

function remedyOf(status: number, said: string): string | undefined {
  if (status === 401) {
    return 'the token is missing, expired or of another cluster: check the projected ServiceAccount token of this pod (audience, expiry), or the token given in the configuration';
  }
  if (status === 403) return missingPermission(said);
  return undefined;
}

// "pods is forbidden: User "system:serviceaccount:ns:name" cannot list resource "pods" in API group "" at the cluster scope"
const DENIED =
  /User "(?<user>[^"]*)" cannot (?<verb>\S+) resource "(?<resource>[^"]+)" in API group "(?<group>[^"]*)" (?<scope>at the cluster scope|in the namespace "(?<namespace>[^"]+)")/;

/** The permission that an RBAC refusal asks for, in words a cluster administrator can act on; undefined for other refusals. */
export function missingPermission(said: string): string | undefined {
  const found = DENIED.exec(said)?.groups;
  if (found === undefined) return undefined;
  const { user = '', verb, resource = '', group = '', namespace } = found;
  const [plural = '', subresource] = resource.split('/');
  const qualified = `${plural}${group === '' ? '' : `.${group}`}${subresource === undefined ? '' : `/${subresource}`}`;
  const where = namespace === undefined ? 'at the cluster scope' : `in namespace ${namespace}`;
  const account = /^system:serviceaccount:([^:]+):(.+)$/.exec(user);
  const whom = account === null ? `user ${user}` : `ServiceAccount ${account[1]}/${account[2]}`;
  return `grant \`${verb}\` on \`${qualified}\` ${where} to ${whom}`;
}

function withRemedy(message: string, remedy: string | undefined): string {
  return remedy === undefined ? message : `${message}. Remedy: ${remedy}`;
}

function parseStatusObject(body: string): StatusObject {
  const nothing: StatusObject = { message: undefined, reason: undefined, retryAfterSeconds: undefined };
  let parsed: unknown;
  try {
    parsed = JSON.parse(body);
  } catch {
    return nothing;
  }
  if (!isRecord(parsed)) return nothing;
  const details = isRecord(parsed['details']) ? parsed['details'] : {};
  return {
    message: typeof parsed['message'] === 'string' ? parsed['message'] : undefined,
    reason: typeof parsed['reason'] === 'string' && parsed['reason'] !== '' ? parsed['reason'] : undefined,
    retryAfterSeconds: typeof details['retryAfterSeconds'] === 'number' ? details['retryAfterSeconds'] : undefined,
  };
}

/** `Retry-After` in its two forms (RFC 9110 10.2.3: seconds or a date) as ms from `now`; undefined when absent or unreadable. */
export function parseRetryAfter(value: string | readonly string[] | undefined, now: number): number | undefined {
  const text = typeof value === 'string' ? value : value?.[0];
  if (text === undefined) return undefined;
  if (/^\d+$/.test(text.trim())) return Number(text) * 1000;
  const date = Date.parse(text);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}
