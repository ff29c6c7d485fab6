import { z } from 'zod';

/** Text of a decision is for people: it is cut, never refused. */
const MAX_TEXT = 500;

/** Event in its stored form: a versioned type and the fields of that type. */
export const rawEventSchema = z.looseObject({ type: z.string().min(1).max(120) });

export type RawEvent = z.infer<typeof rawEventSchema>;

/** What every format of a stored decision has; enough to tell a newer format from an invalid message. */
export const decisionEnvelopeSchema = z.looseObject({
  v: z.string().regex(/^shard\.decision\.v[0-9]{1,4}$/),
  id: z.string().min(1).max(64),
});

export type DecisionEnvelope = z.infer<typeof decisionEnvelopeSchema>;

export const DECISION_V1 = 'shard.decision.v1';

/** One message of the log: everything that one decision says, so it is stored whole or not at all. */
export const decisionSchema = z.object({
  v: z.literal(DECISION_V1),
  /** Unique for ever; also the message id. */
  id: z.string().min(1).max(64),
  /** When it was made, ms since the epoch on the manager's clock. */
  at: z.number().min(0),
  manager: z.object({
    /** Identity of the deciding process, as in the Lease. */
    identity: z.string().max(300),
    /** Lease transitions when it led; tells two terms of one process apart. */
    term: z.int().min(0),
  }),
  /** Incarnation of the log. */
  generation: z.int().min(1),
  /** `created` of the stream it was written to. */
  stream: z.string().max(64),
  /** The command that was decided on, in short. */
  command: z.string().max(MAX_TEXT),
  reason: z.string().max(MAX_TEXT),
  events: z.array(rawEventSchema).min(1).max(5000),
});

export type StoredDecision = z.infer<typeof decisionSchema>;

/** A decision about to be written. */
export interface NewDecision<E> {
  readonly at: number;
  readonly manager: { readonly identity: string; readonly term: number };
  readonly generation: number;
  readonly command: string;
  readonly reason: string;
  readonly events: readonly E[];
}

/** A decision as it stands in the log, its events in their present form. */
export interface Decision<E> extends NewDecision<E> {
  readonly id: string;
  readonly stream: string;
  /** Stream sequence; the epoch of assignments that it causes. */
  readonly sequence: number;
}

/** Cut to what the format allows. */
export const shortText = (text: string): string => (text.length <= MAX_TEXT ? text : `${text.slice(0, MAX_TEXT - 1)}…`);
