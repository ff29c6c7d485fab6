import { type NatsLink, type NatsSubscription, serviceErrorHeaders } from '@shard-controller/shared/nats';
import { type Clock, errorCode, errorMessage } from '@shard-controller/shared/runtime';

/** One question that a service answers. */
export interface ServiceEndpoint {
  readonly name: string;
  readonly subjects: readonly string[];
  /** Told by INFO: schemas of question and answer, as JSON texts. */
  readonly metadata: Readonly<Record<string, string>>;
  /** The answer to a request's bytes. A rejection becomes an error answer; one with a `code` names it. */
  readonly answer: (request: Uint8Array) => Promise<object>;
}

export interface ServiceOptions {
  readonly link: Pick<NatsLink, 'subscribeRaw'>;
  readonly clock: Clock;
  readonly name: string;
  /** Of this instance; letters and digits. */
  readonly id: string;
  readonly version: string;
  readonly description: string;
  readonly endpoints: readonly ServiceEndpoint[];
}

interface Figures {
  requests: number;
  errors: number;
  lastError: string;
  processingNs: number;
}

const VERBS = ['PING', 'INFO', 'STATS'] as const;
const encode = (body: object): string => JSON.stringify(body);

/** A question failed with an error without a code. @remedy look at the log of the manager. */
const INSPECT_FAILED = 'SC_INSPECT_FAILED';

/** What an answer says of an error: its code, and what a person can do. */
export interface Failure {
  readonly code: string;
  readonly message: string;
}

export function failureOf(error: unknown): Failure {
  return { code: errorCode(error) ?? INSPECT_FAILED, message: errorMessage(error) };
}

/** The subject under which one instance of a service answers (ADR-32). */
export const discoverySubject = (verb: (typeof VERBS)[number], service: string, id: string): string =>
  `$SRV.${verb}.${service}.${id}`;

/**
 * A NATS micro service: `$SRV.PING`, `$SRV.INFO` and `$SRV.STATS`, all requests and all answers as in ADR-32
 * (github.com/nats-io/nats-architecture-and-design, adr/ADR-32.md). Its endpoints are heard only between `open` and
 * `close`, so that a client that asks while no manager can answer gets "no responders" at once.
 */
export class NatsService {
  readonly #options: ServiceOptions;
  readonly #started: string;
  readonly #figures: ReadonlyMap<string, Figures>;
  readonly #discovery: readonly NatsSubscription[];
  #open: readonly NatsSubscription[] = [];

  constructor(options: ServiceOptions) {
    this.#options = options;
    const { link, clock, name, id, endpoints } = options;
    this.#started = new Date(clock.now()).toISOString();
    this.#figures = new Map(
      endpoints.map((endpoint) => [endpoint.name, { requests: 0, errors: 0, lastError: '', processingNs: 0 }]),
    );
    this.#discovery = VERBS.flatMap((verb) =>
      [`$SRV.${verb}`, `$SRV.${verb}.${name}`, discoverySubject(verb, name, id)].map((subject) =>
        link.subscribeRaw(subject, (message) => void message.respond(encode(this.#describe(verb)))),
      ),
    );
  }

  /** Answers from now on. Idempotent. */
  open(): void {
    if (this.#open.length > 0) return;
    const { link, endpoints } = this.#options;
    this.#open = endpoints.flatMap((endpoint) =>
      endpoint.subjects.map((subject) =>
        link.subscribeRaw(subject, (message) => {
          void this.#answer(endpoint, message.data).then(({ body, error }) =>
            message.respond(encode(body), error === undefined ? undefined : { headers: serviceErrorHeaders(error) }),
          );
        }),
      ),
    );
  }

  /** Answers no more. Idempotent. */
  close(): void {
    for (const subscription of this.#open) subscription.unsubscribe();
    this.#open = [];
  }

  /** Closes it, and is no longer found. */
  stop(): void {
    this.close();
    for (const subscription of this.#discovery) subscription.unsubscribe();
  }

  async #answer(endpoint: ServiceEndpoint, request: Uint8Array): Promise<Answered> {
    const { clock } = this.#options;
    const figures = this.#figures.get(endpoint.name);
    const startedAt = clock.monotonic();
    let answered: Answered;
    try {
      answered = { body: await endpoint.answer(request) };
    } catch (error) {
      const failure = failureOf(error);
      answered = { body: { error: failure }, error: failure };
    }
    if (figures !== undefined) {
      figures.requests++;
      figures.processingNs += Math.round((clock.monotonic() - startedAt) * 1e6);
      if (answered.error !== undefined) {
        figures.errors++;
        figures.lastError = `${answered.error.code}: ${answered.error.message}`;
      }
    }
    return answered;
  }

  #describe(verb: (typeof VERBS)[number]): object {
    const { name, id, version, description, endpoints } = this.#options;
    const head = { name, id, version, metadata: {}, type: `io.nats.micro.v1.${verb.toLowerCase()}_response` };
    const about = ({ name: endpoint, subjects }: ServiceEndpoint) => ({
      name: endpoint,
      subject: subjects[0],
      queue_group: '',
    });
    if (verb === 'PING') return head;
    if (verb === 'INFO') {
      const named = endpoints.map((endpoint) => ({ ...about(endpoint), metadata: endpoint.metadata }));
      return { ...head, description, endpoints: named };
    }
    return {
      ...head,
      started: this.#started,
      endpoints: endpoints.map((endpoint) => ({ ...about(endpoint), ...statsOf(this.#figures.get(endpoint.name)) })),
    };
  }
}

interface Answered {
  readonly body: object;
  readonly error?: Failure;
}

function statsOf(figures: Figures | undefined): object {
  const { requests, errors, lastError, processingNs } = figures ?? {
    requests: 0,
    errors: 0,
    lastError: '',
    processingNs: 0,
  };
  return {
    num_requests: requests,
    num_errors: errors,
    last_error: lastError,
    processing_time: processingNs,
    average_processing_time: requests === 0 ? 0 : Math.round(processingNs / requests),
  };
}
