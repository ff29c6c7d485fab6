import type { Readable } from 'node:stream';
import type { Logger } from '../../observability/index.ts';
import type { Clock } from '../../runtime/index.ts';
import type { KubernetesEndpoint } from './endpoint.ts';
import type { KubernetesObject } from './objects.ts';
import type { Query } from './request-encoding.ts';

export type ResponseHeaders = Record<string, string | string[] | undefined>;

export interface KubernetesClientOptions {
  readonly endpoint: KubernetesEndpoint;
  readonly logger: Logger;
  readonly userAgent: string;
  readonly clock?: Clock;
  /** Bound of a whole `request`, its retries and waits included, ms. */
  readonly requestTimeoutMs?: number;
  /** Uniform in [0, 1): jitter of waits. */
  readonly random?: () => number;
}

export interface KubernetesRequest {
  readonly method: string;
  /** Path below the server, already encoded; may carry a query of its own. */
  readonly path: string;
  readonly query?: Query | undefined;
  /** Sent as JSON; a string or bytes are sent as they are. */
  readonly body?: unknown;
  readonly contentType?: string | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly timeoutMs?: number | undefined;
  /** Asked right before each time that the request is sent, also again; false ends it as an abort does. */
  readonly maySend?: (() => boolean) | undefined;
}

export interface StreamRequest {
  readonly path: string;
  readonly query?: Query | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly method?: string | undefined;
  readonly body?: string | Uint8Array | undefined;
  /** Longest wait for the answer's headers, ms; 0 (default) waits for ever. */
  readonly headersTimeoutMs?: number | undefined;
}

export interface StreamResponse {
  readonly status: number;
  readonly headers: ResponseHeaders;
  /** As received: not decompressed, not decoded. Read it to the end, or `discard` the answer. */
  readonly body: Readable;
}

export interface CallOptions {
  readonly query?: Query | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly timeoutMs?: number | undefined;
  /** As in `KubernetesRequest`. */
  readonly maySend?: (() => boolean) | undefined;
}

export interface PatchOptions extends CallOptions {
  /** Default `application/merge-patch+json`. */
  readonly contentType?: string | undefined;
}

export interface DeleteOptions extends CallOptions {
  readonly gracePeriodSeconds?: number | undefined;
  readonly propagationPolicy?: 'Background' | 'Foreground' | 'Orphan' | undefined;
  readonly preconditions?: { readonly uid?: string; readonly resourceVersion?: string } | undefined;
}

export interface ApplyRequest extends CallOptions {
  /** Needs apiVersion, kind, metadata.name and, for namespaced kinds, metadata.namespace. */
  readonly object: KubernetesObject;
  readonly fieldManager: string;
  /** Take fields over from other managers instead of failing with 409. */
  readonly force?: boolean | undefined;
  readonly subresource?: string | undefined;
}
