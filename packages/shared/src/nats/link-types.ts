import type { z } from 'zod';
import type { Clock } from '../runtime/index.ts';
import type { NatsConnectionConfig } from './connection-options.ts';
import type { Parsed } from './message.ts';

/** The part of a pino logger that is used here. */
export interface NatsLogger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export interface NatsLinkOptions extends NatsConnectionConfig {
  readonly logger: NatsLogger;
  readonly clock?: Clock;
  /** Default time a request or a JetStream call waits for its answer, ms. Default 2000. */
  readonly requestTimeoutMs?: number;
}

/** State of the connection at the moment `since`. */
export interface LinkStatus {
  /** True only when all subscriptions are live at the server too. */
  readonly connected: boolean;
  /** Since when, ms on the clock's wall time. */
  readonly since: number;
  /** Server of the connection, `host:port`. */
  readonly server?: string;
  /** Why there is no connection. */
  readonly problem?: string;
}

/** A message that came in on a subscription. */
export interface NatsMessage<T> {
  readonly subject: string;
  readonly body: Parsed<T>;
  /** True when the sender waits for an answer. */
  readonly wantsReply: boolean;
  /** Answers a request; false when no client waits, the connection is gone or the answer is too large. */
  respond(body: unknown): boolean;
}

export interface SubscriptionOptions<T> {
  readonly subject: string;
  readonly schema: z.ZodType<T>;
  /** Queue group: each message goes to one member. */
  readonly queue?: string;
}

/** A subscription; it outlives connections until it is ended. */
export interface NatsSubscription {
  unsubscribe(): void;
}

export type PublishResult = { readonly ok: true } | { readonly ok: false; readonly problem: string };

/**
 * Outcome of a request. `no-responders` is positive evidence that no process listens on the subject; `timeout` is not
 * evidence of anything; `disconnected` says that this process, not the other one, has no connection.
 */
export type RequestResult<T> =
  | { readonly kind: 'reply'; readonly reply: Parsed<T> }
  | { readonly kind: 'no-responders' }
  | { readonly kind: 'timeout' }
  | { readonly kind: 'disconnected' };

export interface LinkCounters {
  /** Connections made so far; all but the first are reconnects. */
  readonly connects: number;
  /** Messages that were not JSON or not of the expected shape. */
  readonly invalid: number;
  /** Subscription handlers that threw. */
  readonly handlerErrors: number;
}
