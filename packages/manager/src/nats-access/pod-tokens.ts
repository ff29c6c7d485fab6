import type { KubernetesClient } from '@shard-controller/shared/kubernetes';
import type { Clock } from '@shard-controller/shared/runtime';
import { createLocalJWKSet, errors, type JSONWebKeySet, jwtVerify } from 'jose';
import { z } from 'zod';

/** What a token says of the pod that it was made for, once it is known to be true. */
export interface PodToken {
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly pod: { readonly name: string; readonly uid: string };
  /** Seconds since the epoch. */
  readonly expiresAt: number;
}

/**
 * A token that no worker of this fleet has.
 * @remedy none for a stranger; for a worker, compare the audience and the ServiceAccount of its token with the manager's settings.
 */
export class TokenRefusedError extends Error {
  override readonly name = 'TokenRefusedError';
  readonly code = 'SC_TOKEN_REFUSED';
}

export interface PodTokensOptions {
  readonly client: Pick<KubernetesClient, 'request'>;
  readonly audience: string;
  readonly clock: Clock;
}

/** The only form in which the API server has its keys. */
const JWK_SET = 'application/jwk-set+json';

const discoverySchema = z.looseObject({ issuer: z.string().min(1) });
const keysSchema = z.looseObject({ keys: z.array(z.looseObject({ kty: z.string() })) });
const claimsSchema = z.looseObject({
  exp: z.int(),
  'kubernetes.io': z.looseObject({
    namespace: z.string(),
    serviceaccount: z.looseObject({ name: z.string() }),
    pod: z.looseObject({ name: z.string(), uid: z.string() }),
  }),
});

/** A key that is not known makes the keys be read again, but not more often than this. ms. */
const KEYS_GAP_MS = 10_000;
/** Keys that the API server no longer has are forgotten after this. ms. */
const KEYS_AGE_MS = 300_000;

interface Keys {
  readonly issuer: string;
  readonly set: ReturnType<typeof createLocalJWKSet>;
  readonly readAt: number;
}

/**
 * Checks tokens that kubelet makes for a pod (OpenID Connect Discovery 1.0 and RFC 7517, as the API server serves them).
 * TokenReview would tell the same for a right in the whole cluster; who may read the keys is every ServiceAccount. Whether
 * the pod still exists is for the caller to look up.
 */
export class PodTokens {
  readonly #options: PodTokensOptions;
  #known: Keys | undefined;
  #reading: Promise<Keys> | undefined;

  constructor(options: PodTokensOptions) {
    this.#options = options;
  }

  /** @throws TokenRefusedError, or a KubernetesError while the API server's keys cannot be read. */
  async verify(token: string): Promise<PodToken> {
    const { clock } = this.#options;
    const keys = await this.#current();
    try {
      return await this.#verifyBy(keys, token);
    } catch (error) {
      const isUnknownKey = error instanceof errors.JWKSNoMatchingKey;
      if (!isUnknownKey || clock.monotonic() - keys.readAt < KEYS_GAP_MS) throw refusal(error);
    }
    if (this.#known === keys) this.#known = undefined;
    return this.#verifyBy(await this.#current(), token).catch((error: unknown) => Promise.reject(refusal(error)));
  }

  async #verifyBy({ issuer, set }: Keys, token: string): Promise<PodToken> {
    const currentDate = new Date(this.#options.clock.now());
    const { payload } = await jwtVerify(token, set, { issuer, audience: this.#options.audience, currentDate });
    const claims = claimsSchema.safeParse(payload);
    if (!claims.success) throw new TokenRefusedError('the token is not that of a pod');
    const { namespace, serviceaccount, pod } = claims.data['kubernetes.io'];
    return { namespace, serviceAccount: serviceaccount.name, pod, expiresAt: claims.data.exp };
  }

  /** One request for all that ask while it is under way. */
  async #current(): Promise<Keys> {
    const known = this.#known;
    if (known !== undefined && this.#options.clock.monotonic() - known.readAt <= KEYS_AGE_MS) return known;
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  async #read(): Promise<Keys> {
    const { client, clock } = this.#options;
    const [discovery, keys] = await Promise.all([
      client.request<unknown>({ method: 'GET', path: '/.well-known/openid-configuration' }),
      client.request<unknown>({ method: 'GET', path: '/openid/v1/jwks', headers: { accept: JWK_SET } }),
    ]);
    const set: JSONWebKeySet = keysSchema.parse(keys);
    const { issuer } = discoverySchema.parse(discovery);
    this.#known = { issuer, set: createLocalJWKSet(set), readAt: clock.monotonic() };
    return this.#known;
  }
}

/** Never holds a part of the token. */
function refusal(error: unknown): unknown {
  if (error instanceof errors.JWTExpired) return new TokenRefusedError('the token has expired', { cause: error });
  if (error instanceof errors.JOSEError) return new TokenRefusedError(`the token is not valid: ${error.code}`);
  return error;
}
