import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Clock, systemClock } from '../../runtime/index.ts';

/** Where the API server is and with what to speak to it. Credentials may change while the process lives. */
export interface KubernetesEndpoint {
  /** `https://host:port`, optionally with a path prefix; no slash at the end. */
  readonly server: string;
  /** Name to expect in the server's certificate when it is not the host of `server`. */
  readonly tlsServerName?: string | undefined;
  /** PEM bundle of trusted CAs; undefined trusts the system's. */
  ca(): string | undefined;
  /** Bearer token; undefined sends none. */
  token(): string | undefined;
  /** Forget cached credentials: called after a 401 or a TLS failure. Returns true when a new reading may differ. */
  refresh?(): boolean;
}

/**
 * There is no usable in-cluster configuration.
 * @remedy run in a pod with a ServiceAccount token, or set KUBECONFIG.
 */
export class EndpointError extends Error {
  override readonly name = 'EndpointError';
  readonly code = 'SC_KUBERNETES_ENDPOINT';
}

/** Longest time that a rotated token or CA stays unnoticed, ms: what client-go allows itself. */
const REREAD_MS = 60_000;
const SERVICE_ACCOUNT_FOLDER = '/var/run/secrets/kubernetes.io/serviceaccount';

export interface InClusterOptions {
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Folder with `token` and `ca.crt`; default is the ServiceAccount mount. */
  readonly folder?: string;
  readonly clock?: Clock;
}

/**
 * The API server as a pod sees it: KUBERNETES_SERVICE_HOST and _PORT, token and CA from the ServiceAccount mount, both
 * read again after at most 60 s. Throws EndpointError when this process does not run in a pod with a token.
 */
export function inClusterEndpoint(options: InClusterOptions = {}): KubernetesEndpoint {
  const env = options.env ?? process.env;
  const folder = options.folder ?? SERVICE_ACCOUNT_FOLDER;
  const clock = options.clock ?? systemClock;
  const host = env['KUBERNETES_SERVICE_HOST'];
  const port = env['KUBERNETES_SERVICE_PORT'];
  if (host === undefined || host === '' || port === undefined || port === '') {
    throw new EndpointError(
      'KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set: this process does not run in a Kubernetes pod; run it in one, or configure the API server by hand',
    );
  }
  const token = new RotatingFile(join(folder, 'token'), clock);
  const ca = new RotatingFile(join(folder, 'ca.crt'), clock);
  token.read();
  ca.read();
  return {
    server: `https://${host.includes(':') ? `[${host}]` : host}:${port}`,
    ca: () => ca.read(),
    token: () => token.read().trim(),
    refresh: () => {
      token.expire();
      ca.expire();
      return true;
    },
  };
}

export interface StaticEndpointOptions {
  readonly server: string;
  readonly ca?: string | undefined;
  readonly token?: string | undefined;
  readonly tlsServerName?: string | undefined;
}

/** An API server with fixed credentials: tests, harnesses, a kubeconfig resolved elsewhere. */
export function staticEndpoint(options: StaticEndpointOptions): KubernetesEndpoint {
  return {
    server: options.server.replace(/\/+$/, ''),
    tlsServerName: options.tlsServerName,
    ca: () => options.ca,
    token: () => options.token,
  };
}

/** A small file that is replaced from outside. A failed re-read keeps the last good content. */
class RotatingFile {
  readonly #path: string;
  readonly #clock: Clock;
  #content: string | undefined;
  #readAt = 0;

  constructor(path: string, clock: Clock) {
    this.#path = path;
    this.#clock = clock;
  }

  expire(): void {
    this.#readAt = Number.NEGATIVE_INFINITY;
  }

  read(): string {
    const now = this.#clock.monotonic();
    if (this.#content !== undefined && now - this.#readAt < REREAD_MS) return this.#content;
    try {
      const content = readFileSync(this.#path, 'utf8');
      // A projected volume is replaced atomically, but an empty file must never replace good credentials.
      if (content.trim() !== '' || this.#content === undefined) this.#content = content;
      this.#readAt = now;
    } catch (cause) {
      if (this.#content === undefined) {
        throw new EndpointError(
          `${this.#path} cannot be read: mount a ServiceAccount token into this container (automountServiceAccountToken or a projected volume)`,
          { cause },
        );
      }
      this.#readAt = now;
    }
    return this.#content ?? '';
  }
}
