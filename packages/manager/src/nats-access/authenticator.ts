import { readFileSync } from 'node:fs';
import { encodeAuthorizationResponse, encodeUser } from '@nats-io/jwt';
import type { KeyPair } from '@nats-io/nkeys';
import type { WorkerAddress } from '@shard-controller/shared/contracts';
import { NatsConfigError, type NatsLink, type NatsLogger } from '@shard-controller/shared/nats';
import type { Clock } from '@shard-controller/shared/runtime';
import { z } from 'zod';
import { type PodToken, type PodTokens, TokenRefusedError } from './pod-tokens.ts';
import { signingKey } from './signing-key.ts';
import { workerPermissions } from './worker-permissions.ts';

/** Where nats-server asks who a client is (ADR-26, auth callout). */
const REQUESTS = '$SYS.REQ.USER.AUTH';
/** Each question is for one manager, whether it leads or not. */
const QUEUE = 'managers';
/** A pod's first token may arrive before the watch has shown the pod. ms. */
const POD_PATIENCE_MS = 1_500;
const POD_LOOK_MS = 100;

export interface NatsAuthenticatorOptions {
  readonly tokens: Pick<PodTokens, 'verify'>;
  /** Worker of a pod, by the pod's uid; undefined when there is no such pod. */
  readonly workerOf: (podUid: string) => WorkerAddress | undefined;
  /** Whose tokens are those of workers. */
  readonly namespace: string;
  readonly serviceAccount: string;
  /** File with the seed of the account key that the server believes. */
  readonly issuerFile: string;
  /** Account of the server that workers are in. */
  readonly account: string;
  readonly clock: Clock;
  readonly logger: NatsLogger;
}

const requestSchema = z.looseObject({
  nats: z.looseObject({
    user_nkey: z.string(),
    server_id: z.looseObject({ id: z.string() }),
    client_info: z.looseObject({ host: z.string().optional() }).optional(),
    connect_opts: z.looseObject({ auth_token: z.string().optional() }),
  }),
});

type Request = z.infer<typeof requestSchema>['nats'];

/**
 * Tells NATS who workers are: each shows the token of its pod, and may then do what its own shard needs, for as long as
 * the token is valid. So no password for NATS exists that could be stolen, and a pod's credentials end with it.
 */
export class NatsAuthenticator {
  readonly #options: NatsAuthenticatorOptions;
  readonly #issuer: KeyPair;

  /** @throws NatsConfigError when the issuer's file holds no seed of an account. */
  constructor(options: NatsAuthenticatorOptions) {
    this.#options = options;
    this.#issuer = readIssuer(options.issuerFile);
  }

  /** Answers on this link, from now on. */
  join(link: Pick<NatsLink, 'subscribeRaw'>): void {
    link.subscribeRaw(
      REQUESTS,
      (message) => {
        void this.#answer(message.string()).then((answer) => answer !== undefined && message.respond(answer));
      },
      QUEUE,
    );
  }

  /** Undefined for what is no question. Never rejects. */
  async #answer(text: string): Promise<string | undefined> {
    const { logger } = this.#options;
    const request = parseRequest(text);
    if (request === undefined) {
      logger.warn({ subject: REQUESTS }, 'a question about a client of NATS could not be read');
      return undefined;
    }
    try {
      return await this.#respond(request, { jwt: await this.#user(request) });
    } catch (error) {
      const reason = error instanceof TokenRefusedError ? error.message : 'the manager could not check the token';
      const client = request.client_info?.host;
      const code = error instanceof TokenRefusedError ? error.code : undefined;
      logger.warn({ code, client, err: code === undefined ? error : undefined, reason }, 'refused a client of NATS');
      return this.#respond(request, { error: reason });
    }
  }

  async #respond(
    { user_nkey, server_id }: Request,
    content: { readonly jwt: string } | { readonly error: string },
  ): Promise<string> {
    return encodeAuthorizationResponse(user_nkey, server_id.id, this.#issuer, { ...content }, {});
  }

  /** The JWT of the user that a client is. @throws TokenRefusedError */
  async #user({ user_nkey, connect_opts }: Request): Promise<string> {
    const { tokens, account } = this.#options;
    const { auth_token } = connect_opts;
    if (auth_token === undefined) throw new TokenRefusedError('the client shows no token');
    const token = await tokens.verify(auth_token);
    const worker = await this.#worker(token);
    const { pub, sub, resp } = workerPermissions(worker, token.pod.name);
    const options = { aud: account, exp: token.expiresAt };
    return encodeUser(token.pod.name, user_nkey, this.#issuer, { pub, sub, resp }, options);
  }

  async #worker({ namespace, serviceAccount, pod }: PodToken): Promise<WorkerAddress> {
    const { workerOf, clock, ...expected } = this.#options;
    if (namespace !== expected.namespace || serviceAccount !== expected.serviceAccount) {
      throw new TokenRefusedError(`ServiceAccount ${namespace}/${serviceAccount} is not that of the workers`);
    }
    const until = clock.monotonic() + POD_PATIENCE_MS;
    for (;;) {
      const worker = workerOf(pod.uid);
      if (worker !== undefined) return worker;
      if (clock.monotonic() >= until) {
        throw new TokenRefusedError(`there is no worker pod ${namespace}/${pod.name} of uid ${pod.uid}`);
      }
      await clock.sleep(POD_LOOK_MS);
    }
  }
}

/** The server has signed it, and listens to nobody else on this subject; what is asked for is checked by the token alone. */
function parseRequest(jwt: string): Request | undefined {
  const [, claims = ''] = jwt.split('.');
  try {
    return requestSchema.parse(JSON.parse(Buffer.from(claims, 'base64url').toString())).nats;
  } catch {
    return undefined;
  }
}

function readIssuer(file: string): KeyPair {
  const problem = `${file} contains no seed of a NATS account (SA…): it is the issuer of nats.conf's auth_callout`;
  try {
    const key = signingKey(readFileSync(file, 'utf8'));
    if (key.getPublicKey().startsWith('A')) return key;
  } catch (cause) {
    throw new NatsConfigError(problem, { cause });
  }
  throw new NatsConfigError(problem);
}
