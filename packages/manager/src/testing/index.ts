import type { Heartbeat } from '@shard-controller/shared/contracts';
import type { NatsLink, NatsMessage, RequestResult } from '@shard-controller/shared/nats';
import type { z } from 'zod';

/** What a fake peer does with a request: an object is its answer. */
export type FakeAnswer = object | 'timeout' | 'no-responders' | 'disconnected';

/** A NATS link whose other end is a function; records what was asked. */
export class FakeLink implements Pick<NatsLink, 'request' | 'subscribe'> {
  readonly asked: { readonly subject: string; readonly body: unknown }[] = [];
  readonly #answer: (subject: string, body: unknown) => FakeAnswer;
  readonly #handlers: ((subject: string, data: unknown) => void)[] = [];

  constructor(answer: (subject: string, body: unknown) => FakeAnswer = () => 'no-responders') {
    this.#answer = answer;
  }

  request<T>(r: {
    readonly subject: string;
    readonly body: unknown;
    readonly schema: z.ZodType<T>;
  }): Promise<RequestResult<T>> {
    this.asked.push({ subject: r.subject, body: r.body });
    const answer = this.#answer(r.subject, r.body);
    if (typeof answer === 'string') return Promise.resolve({ kind: answer });
    return Promise.resolve({ kind: 'reply', reply: parsed(r.schema, answer) });
  }

  subscribe<T>(
    options: { readonly subject: string; readonly schema: z.ZodType<T> },
    handler: (message: NatsMessage<T>) => void | Promise<void>,
  ): { unsubscribe(): void } {
    this.#handlers.push((subject, data) => {
      void handler({ subject, body: parsed(options.schema, data), wantsReply: false, respond: () => false });
    });
    return { unsubscribe: () => undefined };
  }

  /** Delivers a message to every subscription. */
  deliver(subject: string, data: unknown): void {
    for (const handler of this.#handlers) handler(subject, data);
  }
}

function parsed<T>(schema: z.ZodType<T>, data: unknown): { ok: true; value: T } | { ok: false; problem: string } {
  const result = schema.safeParse(data);
  return result.success ? { ok: true, value: result.data } : { ok: false, problem: result.error.message };
}

/** A heartbeat of a healthy worker, with some of its fields replaced. */
export function heartbeatOf(over: Partial<Heartbeat>): Heartbeat {
  return {
    v: 'shard.heartbeat.v1',
    uid: 'uid-1',
    shardId: 'shard-000',
    replica: 'a',
    pod: 'main-a-0',
    node: 'n1',
    boot: 'b1',
    sequence: 1,
    sentAt: 1000,
    revision: 'r1',
    phase: 'Running',
    generation: 1,
    epoch: 3,
    feeds: { synced: 2, total: 2, oldestProofMs: 10 },
    exporter: { state: 'running', since: 1 },
    gateway: { state: 'serving', reason: '', scrapers: [] },
    slots: { assigned: 128, acknowledged: 128 },
    load: {
      objects: 1,
      expositionBytes: 2,
      memoryBytes: 3,
      scrapeDurationMs: 4,
      queueDepth: 0,
      objectsByResource: { pods: 1 },
    },
    handovers: [],
    ...over,
  };
}
