import { errors, type Msg, type NatsConnection, connect } from '@nats-io/transport-node';
import { jetstream, type JetStreamClient, type JetStreamManager, jetstreamManager } from '@nats-io/jetstream';
import type { z } from 'zod';
import { type Clock, errorMessage, systemClock } from '../runtime/index.ts';
import { connectionOptions, serverList } from './connection-options.ts';
import { NatsConfigError, NatsUnavailableError, NatsVersionError } from './errors.ts';
import { deadline, delayBeforeAttempt, isOldVersion, MINIMUM_SERVER, serverNames } from './link-policy.ts';
import type {
  LinkCounters,
  LinkStatus,
  NatsLinkOptions,
  NatsLogger,
  NatsMessage,
  NatsSubscription,
  PublishResult,
  RequestResult,
  SubscriptionOptions,
} from './link-types.ts';
import { LinkSubscriptions } from './link-subscriptions.ts';
import { encodeMessage, type Parsed } from './message.ts';
import { digestNow, rotated } from './rotation.ts';

interface Session {
  readonly connection: NatsConnection;
  readonly js: JetStreamClient;
  readonly jsm: JetStreamManager;
}

const VERSION_RETRY_MS = 5000;
const REMINDER_MS = 30_000;
const CLOSE_TIMEOUT_MS = 2000;

/**
 * One process's connection to NATS. It never gives up: a lost connection is dialled again (first at once, then with
 * jitter, at most 1 s apart) and every subscription is re-created before `connected` turns true. Nothing is buffered
 * while there is no connection: calls fail at once, with a value that says so.
 */
export class NatsLink {
  readonly #options: NatsLinkOptions;
  readonly #clock: Clock;
  readonly #subscriptions: LinkSubscriptions;
  readonly #listeners = new Set<(status: LinkStatus) => void>();
  readonly #stop = new AbortController();
  readonly #counters = { connects: 0, invalid: 0, handlerErrors: 0 };
  #session: Session | undefined;
  #status: LinkStatus;
  #refused: NatsVersionError | undefined;
  #firstAttempt: PromiseWithResolvers<void> = Promise.withResolvers();
  #running: Promise<void> | undefined;
  #remindedAt = Number.NEGATIVE_INFINITY;
  /** What the files said with which the newest connection was made. */
  #digest: string | undefined;

  /** Use `connectNats`. */
  constructor(options: NatsLinkOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#subscriptions = new LinkSubscriptions(options.logger, {
      invalid: () => (this.#counters.invalid += 1),
      handlerError: () => (this.#counters.handlerErrors += 1),
    });
    this.#status = { connected: false, since: this.#clock.now(), problem: 'not connected yet' };
  }

  get connected(): boolean {
    return this.#status.connected;
  }

  get status(): LinkStatus {
    return this.#status;
  }

  get counters(): LinkCounters {
    return { ...this.#counters };
  }

  get requestTimeoutMs(): number {
    return this.#options.requestTimeoutMs ?? 2000;
  }

  get logger(): NatsLogger {
    return this.#options.logger;
  }

  get clock(): Clock {
    return this.#clock;
  }

  /** Aborted by `close()`. */
  get closed(): AbortSignal {
    return this.#stop.signal;
  }

  /** Starts dialling; resolves with the outcome of the first attempt. @throws NatsVersionError, NatsConfigError */
  async open(): Promise<void> {
    connectionOptions(this.#options);
    this.#running ??= this.#run();
    await this.#firstAttempt.promise;
    if (this.#refused !== undefined) {
      await this.close();
      throw this.#refused;
    }
  }

  /** Calls back on every change of `connected` (not for the present state). Returns the end of it. */
  onStatus(listener: (status: LinkStatus) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** True when connected, false when `signal` or `timeoutMs` came first. */
  async waitConnected(timeoutMs: number, signal?: AbortSignal): Promise<boolean> {
    if (this.connected) return true;
    const { promise, resolve } = Promise.withResolvers<void>();
    const off = this.onStatus((status) => status.connected && resolve());
    const ended = AbortSignal.any([this.closed, ...(signal === undefined ? [] : [signal])]);
    const timer = new AbortController();
    await Promise.race([promise, this.#clock.sleep(timeoutMs, AbortSignal.any([ended, timer.signal]))]);
    timer.abort();
    off();
    return this.connected;
  }

  /** Sends to the current listeners. Never waits, never buffers. @throws MessageTooLargeError */
  publish(subject: string, body: unknown): PublishResult {
    const data = encodeMessage(subject, body);
    const session = this.#session;
    if (session === undefined || !this.connected) return { ok: false, problem: this.#noConnection() };
    try {
      session.connection.publish(subject, data);
      return { ok: true };
    } catch (error) {
      return { ok: false, problem: errorMessage(error) };
    }
  }

  /**
   * Resolves true once the server has answered to a ping that was sent after everything published until now, false when
   * the connection is lost before, or there is none. Never rejects.
   */
  async answers(): Promise<boolean> {
    const session = this.#session;
    if (session === undefined || !this.connected) return false;
    try {
      await session.connection.flush();
      return true;
    } catch {
      return false;
    }
  }

  /** Asks once and waits for one answer, `timeoutMs` at most. @throws MessageTooLargeError */
  async request<T>(r: {
    readonly subject: string;
    readonly body: unknown;
    readonly schema: z.ZodType<T>;
    readonly timeoutMs?: number;
  }): Promise<RequestResult<T>> {
    const data = encodeMessage(r.subject, r.body);
    const session = this.#session;
    if (session === undefined || !this.connected) return { kind: 'disconnected' };
    try {
      const answer = await session.connection.request(r.subject, data, {
        timeout: r.timeoutMs ?? this.requestTimeoutMs,
      });
      return { kind: 'reply', reply: this.parse(r.schema, answer.data) };
    } catch (error) {
      if (error instanceof errors.TimeoutError) return { kind: 'timeout' };
      if (isNoResponders(error)) return { kind: 'no-responders' };
      if (error instanceof errors.InvalidSubjectError) throw error;
      if (this.connected)
        this.logger.warn({ subject: r.subject, problem: errorMessage(error) }, 'NATS request was not sent');
      return { kind: 'disconnected' };
    }
  }

  /**
   * Hears a subject for as long as the link lives. An invalid message reaches the handler as a problem and is counted; a handler
   * that throws is logged and counted, and the subscription continues.
   */
  subscribe<T>(
    options: SubscriptionOptions<T>,
    handler: (message: NatsMessage<T>) => void | Promise<void>,
  ): NatsSubscription {
    return this.#subscriptions.add(options, handler, this.#session?.connection);
  }

  /** Calls back for each message on a subject without looking at it; with `queue`, one member of the group gets it. */
  subscribeRaw(subject: string, deliver: (message: Msg) => void, queue?: string): NatsSubscription {
    return this.#subscriptions.addRaw(subject, deliver, this.#session?.connection, queue);
  }

  /** Present JetStream session. @throws NatsUnavailableError while there is no connection */
  session(): Session {
    const session = this.#session;
    if (session === undefined || !this.connected) throw new NatsUnavailableError(this.#noConnection());
    return session;
  }

  parse<T>(schema: z.ZodType<T>, data: Uint8Array): Parsed<T> {
    return this.#subscriptions.parse(schema, data);
  }

  /** Sends what is in progress (2 s at most), then ends the connection and all subscriptions. */
  async close(): Promise<void> {
    this.#stop.abort();
    const connection = this.#session?.connection;
    if (connection !== undefined && !connection.isClosed()) {
      await deadline(
        connection.drain().catch(() => undefined),
        CLOSE_TIMEOUT_MS,
      );
      await deadline(
        connection.close().catch(() => undefined),
        CLOSE_TIMEOUT_MS,
      );
    }
    await this.#running;
  }

  async #run(): Promise<void> {
    let failures = 0;
    while (!this.closed.aborted) {
      const connection = await this.#dial();
      if (connection === undefined) {
        failures += 1;
      } else {
        failures = 0;
        const problem = await this.#end(connection);
        this.#session = undefined;
        this.#change({ connected: false, problem });
      }
      this.#firstAttempt.resolve();
      await this.#clock.sleep(
        this.#refused === undefined ? delayBeforeAttempt(failures, Math.random()) : VERSION_RETRY_MS,
        this.closed,
      );
    }
  }

  /** Resolves with the reason when the connection has ended: by itself, or because its files are others now. */
  async #end(connection: NatsConnection): Promise<string> {
    const over = new AbortController();
    const closed = connection.closed().finally(() => over.abort());
    await Promise.race([closed, rotated(this.#options, this.#digest, this.#clock, over.signal)]);
    if (over.signal.aborted) {
      const why = await closed;
      return why instanceof Error ? why.message : 'connection closed';
    }
    over.abort();
    this.logger.info({ server: connection.getServer() }, 'the files with the credentials for NATS have changed');
    await deadline(connection.close(), CLOSE_TIMEOUT_MS);
    return 'the credentials have changed';
  }

  /** One attempt. Undefined when there is no usable connection; the reason is logged and kept. */
  async #dial(): Promise<NatsConnection | undefined> {
    let connection: NatsConnection | undefined;
    try {
      this.#digest = digestNow(this.#options);
      connection = await connect(connectionOptions(this.#options));
      if (this.closed.aborted) throw new NatsUnavailableError('closed');
      const version = connection.info?.version ?? 'unknown';
      this.#refused = isOldVersion(version)
        ? new NatsVersionError(connection.getServer(), version, MINIMUM_SERVER)
        : undefined;
      if (this.#refused !== undefined) throw this.#refused;
      this.#session = {
        connection,
        js: jetstream(connection, { timeout: this.requestTimeoutMs }),
        jsm: await jetstreamManager(connection, { timeout: this.requestTimeoutMs, checkAPI: false }),
      };
      this.#subscriptions.activate(connection);
      await connection.flush();
      this.#counters.connects += 1;
      this.#change({ connected: true, server: connection.getServer() });
      this.#firstAttempt.resolve();
      return connection;
    } catch (error) {
      this.#session = undefined;
      await connection?.close().catch(() => undefined);
      this.#reportFailure(error);
      return undefined;
    }
  }

  #reportFailure(error: unknown): void {
    if (this.closed.aborted) return;
    const problem = errorMessage(error);
    const changed = problem !== this.#status.problem;
    if (changed) this.#change({ connected: false, problem });
    const now = this.#clock.monotonic();
    if (!changed && now - this.#remindedAt < REMINDER_MS) return;
    this.#remindedAt = now;
    const code =
      error instanceof NatsVersionError || error instanceof NatsConfigError ? error.code : 'SC_NATS_UNAVAILABLE';
    this.logger.warn({ code, servers: serverNames(serverList(this.#options.servers)), problem }, remedy(error));
  }

  #change(status: Omit<LinkStatus, 'since'>): void {
    const was = this.#status.connected;
    const since = was === status.connected ? this.#status.since : this.#clock.now();
    this.#status = { ...status, since };
    if (was === status.connected) return;
    if (status.connected)
      this.logger.info({ server: status.server, connects: this.#counters.connects }, 'connected to NATS');
    else if (!this.closed.aborted)
      this.logger.warn({ problem: status.problem }, 'lost the connection to NATS; reconnecting');
    for (const listener of this.#listeners) {
      try {
        listener(this.#status);
      } catch (error) {
        this.#counters.handlerErrors += 1;
        this.logger.error({ error: errorMessage(error) }, 'listener of the NATS connection failed');
      }
    }
  }

  #noConnection(): string {
    const servers = serverNames(serverList(this.#options.servers)).join(', ');
    return `no connection to NATS at ${servers} (${this.#status.problem ?? 'connecting'})`;
  }
}

function isNoResponders(error: unknown): boolean {
  if (error instanceof errors.NoRespondersError) return true;
  return error instanceof errors.RequestError && error.isNoResponders();
}

function remedy(error: unknown): string {
  if (error instanceof NatsVersionError || error instanceof NatsConfigError) return error.message;
  if (error instanceof errors.AuthorizationError) {
    return 'NATS refuses the credentials: check the NATS user, token or credentials file; retrying';
  }
  return 'NATS cannot be reached: check NATS_URL and that nats-server runs there; retrying until it answers';
}

/**
 * Opens the link and returns after the first attempt, whether NATS is there or not (`link.connected` tells).
 * @throws NatsVersionError (SC_NATS_VERSION) when the server of the first attempt is older than 2.12
 * @throws NatsConfigError (SC_NATS_CONFIG) for missing servers or unreadable files
 */
export async function connectNats(options: NatsLinkOptions): Promise<NatsLink> {
  const link = new NatsLink(options);
  await link.open();
  return link;
}
