import { randomUUID } from 'node:crypto';
import type { Logger } from '../../observability/index.ts';
import { type Clock, systemClock } from '../../runtime/index.ts';
import { isConflict, isNotFound, type KubernetesClient, resourcePath } from '../client/index.ts';
import {
  acquiredSpec,
  type Lease,
  type LeaseSpec,
  type ObservedLease,
  observeLease,
  releasedSpec,
  renewedSpec,
  respectMs,
} from './lease-record.ts';

export interface LeaseElectorOptions {
  readonly client: KubernetesClient;
  readonly namespace: string;
  readonly name: string;
  /** Who we are, for people: the pod's name. A unique suffix per process start is added. */
  readonly identity: string;
  /** How long others respect a Lease that is not renewed, ms; whole seconds. */
  readonly leaseDurationMs?: number;
  /** How long we try to renew before we step down, ms; less than the duration. */
  readonly renewDeadlineMs?: number;
  /** Time between two tries, ms; less than the deadline. */
  readonly retryPeriodMs?: number;
  /**
   * Positive evidence that the holder of the Lease can act no more, so that its time need not be waited for. Silence is
   * none. Whatever the holder still does has to be fenced anyway. Bound by `signal`; must not reject.
   */
  readonly isGone?: (holder: string, signal: AbortSignal) => Promise<boolean>;
  /**
   * Leadership begins. `signal` aborts when it ends; `term` grows with every leadership. May return early; leadership
   * continues. A throw gives leadership up.
   */
  readonly onStarted: (signal: AbortSignal, term: number) => Promise<void> | void;
  /** Leadership ended; called once for each onStarted, right after its signal aborted. */
  readonly onStopped: () => void;
  readonly clock?: Clock;
  readonly logger: Logger;
  readonly random?: () => number;
  readonly uniqueId?: () => string;
}

/** What a leader had begun ends with its leadership. @remedy none: another process leads. */
class LeadershipEndedError extends Error {
  override readonly name = 'LeadershipEndedError';
  readonly code = 'SC_LEADERSHIP_ENDED';
}

/** Lease times that cannot keep two leaders apart. @remedy correct the Lease times in the environment. */
export class LeaseTimingError extends Error {
  override readonly name = 'LeaseTimingError';
  readonly code = 'SC_LEASE_TIMING';
}

type Attempt =
  | { readonly kind: 'held'; readonly lease: Lease }
  | { readonly kind: 'other'; readonly holder: string; readonly forMs: number }
  /** Another client wrote between our read and our write. */
  | { readonly kind: 'raced' };

interface Leadership {
  readonly controller: AbortController;
  readonly term: number;
  /** Monotonic time just before the last successful write was sent, ms: from here on others count later than we do. */
  renewedAt: number;
  lease: Lease;
}

/**
 * Leader election on a Lease, by client-go's algorithm. It says who should act, and cannot stop one who acts late: what
 * is written must be fenced by itself.
 */
export class LeaseElector {
  readonly identity: string;
  readonly #options: LeaseElectorOptions;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #random: () => number;
  readonly #leaseDurationMs: number;
  readonly #renewDeadlineMs: number;
  readonly #retryPeriodMs: number;
  readonly #collection: string;
  readonly #path: string;
  #observed: ObservedLease | undefined;
  #lastTransitions = -1;
  #leadership: Leadership | undefined;
  #trouble: string | undefined;

  constructor(options: LeaseElectorOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? Math.random;
    this.#leaseDurationMs = options.leaseDurationMs ?? 6_000;
    this.#renewDeadlineMs = options.renewDeadlineMs ?? 4_000;
    this.#retryPeriodMs = options.retryPeriodMs ?? 1_000;
    checkTiming(this.#leaseDurationMs, this.#renewDeadlineMs, this.#retryPeriodMs);
    this.identity = `${options.identity}_${(options.uniqueId ?? randomUUID)()}`;
    const lease = { group: 'coordination.k8s.io', version: 'v1', resource: 'leases', namespace: options.namespace };
    this.#collection = resourcePath(lease);
    this.#path = resourcePath({ ...lease, name: options.name });
    this.#logger = options.logger.child({ lease: `${options.namespace}/${options.name}`, identity: this.identity });
  }

  /** Whether we lead right now: also false in the moment after a long stall, before the step-down has run. */
  get leading(): boolean {
    const leadership = this.#leadership;
    return leadership !== undefined && !leadership.controller.signal.aborted && this.#remainingMs(leadership) > 0;
  }

  /** The holder of the Lease when it was last read; empty for none. */
  get holder(): string {
    return this.#observed?.lease.spec?.holderIdentity ?? '';
  }

  /** Takes part until `signal` aborts; then steps down, waits for `onStarted` to end and releases. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const startedAt = this.#clock.monotonic();
      const attempt = await this.#guarded(signal, this.#renewDeadlineMs, (bounded) => this.#acquire(bounded));
      if (attempt?.kind === 'held' && !signal.aborted) await this.#lead(signal, attempt.lease, startedAt);
      // A write that was cut off by the stop may have got through.
      else if (signal.aborted && attempt?.kind !== 'other') await this.#release();
      if (signal.aborted) break;
      await this.#clock.sleep(this.#pause(attempt), signal);
    }
  }

  async #lead(signal: AbortSignal, lease: Lease, acquiredAt: number): Promise<void> {
    const term = lease.spec?.leaseTransitions ?? 0;
    const leadership: Leadership = { controller: new AbortController(), term, renewedAt: acquiredAt, lease };
    this.#leadership = leadership;
    this.#logger.info({ term }, 'leading');
    const onAbort = (): void => this.#stepDown(leadership, 'stopped');
    signal.addEventListener('abort', onAbort, { once: true });
    const work = this.#work(leadership);
    await Promise.all([this.#renewing(leadership), this.#watchdog(leadership)]);
    signal.removeEventListener('abort', onAbort);
    await this.#ended(work, leadership);
    await this.#release();
    this.#leadership = undefined;
  }

  async #work(leadership: Leadership): Promise<void> {
    try {
      await this.#options.onStarted(leadership.controller.signal, leadership.term);
    } catch (error) {
      if (leadership.controller.signal.aborted) {
        this.#logger.warn({ err: error }, "the leader's work ended with an error after its leadership");
        return;
      }
      this.#logger.error({ err: error }, "the leader's work failed: giving up leadership");
      this.#stepDown(leadership, 'work failed');
    }
  }

  /** Work that continues after its leadership blocks the next one: two of it in one process would be worse. */
  async #ended(work: Promise<void>, leadership: Leadership): Promise<void> {
    const done = new AbortController();
    void this.#clock.sleep(this.#leaseDurationMs, done.signal).then(() => {
      if (done.signal.aborted) return;
      this.#logger.error(
        { term: leadership.term },
        'work of a past leadership still runs: it must end when its signal aborts',
      );
    });
    await work;
    done.abort();
  }

  async #renewing(leadership: Leadership): Promise<void> {
    const { signal } = leadership.controller;
    for (;;) {
      await this.#clock.sleep(this.#retryPeriodMs, signal);
      if (signal.aborted) return;
      const startedAt = this.#clock.monotonic();
      const remainingMs = this.#remainingMs(leadership);
      // After a stall a renewal that got through would continue with a term that has been over.
      if (remainingMs <= 0) return this.#stepDown(leadership, this.#overdue());
      const attempt = await this.#guarded(signal, remainingMs, (bounded) => this.#renew(leadership, bounded));
      if (signal.aborted) return;
      if (attempt?.kind === 'held') {
        leadership.renewedAt = startedAt;
        leadership.lease = attempt.lease;
      } else if (attempt?.kind === 'other') {
        this.#stepDown(leadership, `the Lease is held by ${attempt.holder}`);
        return;
      }
    }
  }

  /** Steps down on time even while a renewal hangs. */
  async #watchdog(leadership: Leadership): Promise<void> {
    const { signal } = leadership.controller;
    while (!signal.aborted) {
      const remainingMs = this.#remainingMs(leadership);
      if (remainingMs <= 0) return this.#stepDown(leadership, this.#overdue());
      await this.#clock.sleep(remainingMs, signal);
    }
  }

  #overdue(): string {
    return `no renewal within ${this.#renewDeadlineMs} ms`;
  }

  #remainingMs(leadership: Leadership): number {
    return leadership.renewedAt + this.#renewDeadlineMs - this.#clock.monotonic();
  }

  #stepDown(leadership: Leadership, reason: string): void {
    if (leadership.controller.signal.aborted) return;
    leadership.controller.abort(new LeadershipEndedError(`leadership ended: ${reason}`));
    this.#logger.info({ term: leadership.term, reason }, 'no longer leading');
    try {
      this.#options.onStopped();
    } catch (error) {
      this.#logger.error({ err: error }, 'onStopped failed');
    }
  }

  async #acquire(signal: AbortSignal): Promise<Attempt> {
    const current = await this.#options.client.find<Lease>(this.#path, { signal });
    const claim = { identity: this.identity, leaseDurationMs: this.#leaseDurationMs, now: this.#clock.now() };
    if (current === undefined) {
      const spec = acquiredSpec(undefined, this.#lastTransitions, claim);
      return this.#write(undefined, spec, signal);
    }
    const now = this.#clock.monotonic();
    this.#observe(current);
    const forMs = this.#observed === undefined ? 0 : respectMs(this.#observed, this.identity, now);
    if (forMs > 0) {
      const holder = current.spec?.holderIdentity ?? '';
      if ((await this.#options.isGone?.(holder, signal)) !== true) return { kind: 'other', holder, forMs };
      this.#logger.info({ holder }, 'the holder of the Lease is gone: taking over before the Lease expires');
    }
    return this.#write(current, acquiredSpec(current.spec, this.#lastTransitions, claim), signal);
  }

  async #renew(leadership: Leadership, signal: AbortSignal): Promise<Attempt> {
    const claim = { identity: this.identity, leaseDurationMs: this.#leaseDurationMs, now: this.#clock.now() };
    const renewed = await this.#write(leadership.lease, renewedSpec(leadership.lease.spec ?? {}, claim), signal);
    if (renewed.kind === 'held') return renewed;
    // The Lease has changed: an administrator's label, our own write whose answer was lost, or another holder.
    const current = await this.#options.client.find<Lease>(this.#path, { signal });
    if (current === undefined) return this.#write(undefined, acquiredBefore(leadership, claim), signal);
    this.#observe(current);
    const holder = current.spec?.holderIdentity ?? '';
    if (holder !== this.identity) return { kind: 'other', holder, forMs: this.#leaseDurationMs };
    return this.#write(current, renewedSpec(current.spec ?? {}, claim), signal);
  }

  /** Creates or replaces the Lease, guarded by the resourceVersion that was read. */
  async #write(current: Lease | undefined, spec: LeaseSpec, signal: AbortSignal): Promise<Attempt> {
    const { client, namespace, name } = this.#options;
    const lease: Lease = {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: current?.metadata ?? { name, namespace },
      spec: { ...current?.spec, ...spec },
    };
    try {
      const written =
        current === undefined
          ? await client.create<Lease>(this.#collection, lease, { signal })
          : await client.update<Lease>(this.#path, lease, { signal });
      this.#observe(written);
      return { kind: 'held', lease: written };
    } catch (error) {
      if (isConflict(error) || (current !== undefined && isNotFound(error))) return { kind: 'raced' };
      throw error;
    }
  }

  async #release(): Promise<void> {
    await this.#guarded(undefined, Math.min(2_000, this.#leaseDurationMs), async (signal) => {
      const current = await this.#options.client.find<Lease>(this.#path, { signal });
      if (current?.spec?.holderIdentity !== this.identity) return { kind: 'raced' };
      const released = await this.#write(current, releasedSpec(current.spec, this.#clock.now()), signal);
      if (released.kind === 'held') this.#logger.info('released the Lease');
      return released;
    });
  }

  #observe(lease: Lease): void {
    this.#observed = observeLease(this.#observed, lease, this.#clock.monotonic());
    this.#lastTransitions = Math.max(this.#lastTransitions, lease.spec?.leaseTransitions ?? -1);
  }

  /** Runs one attempt for at most `ms`; undefined when it failed, which is logged when it is new. */
  async #guarded(
    outer: AbortSignal | undefined,
    ms: number,
    attempt: (signal: AbortSignal) => Promise<Attempt>,
  ): Promise<Attempt | undefined> {
    const bound = new AbortController();
    const timer = new AbortController();
    const follow = (): void => bound.abort();
    outer?.addEventListener('abort', follow, { once: true });
    if (outer?.aborted === true) follow();
    void this.#clock.sleep(ms, timer.signal).then(() => {
      if (!timer.signal.aborted) bound.abort();
    });
    try {
      const result = await attempt(bound.signal);
      if (this.#trouble !== undefined) this.#logger.info('the Lease can be read and written again');
      this.#trouble = undefined;
      return result;
    } catch (error) {
      const reason = bound.signal.aborted
        ? 'no answer in time'
        : error instanceof Error
          ? error.message
          : String(error);
      if (outer?.aborted !== true && this.#trouble !== reason) {
        this.#logger.warn({ reason }, 'the Lease could not be read or written; retrying');
        this.#trouble = reason;
      }
      return undefined;
    } finally {
      timer.abort();
      outer?.removeEventListener('abort', follow);
    }
  }

  /** Until the next try, ms: no longer than the other's Lease lasts, and spread, so that candidates do not collide. */
  #pause(attempt: Attempt | undefined): number {
    const period = this.#retryPeriodMs * (1 + 0.2 * this.#random());
    return attempt?.kind === 'other' ? Math.min(period, attempt.forMs + 10) : period;
  }
}

/** The Lease was deleted while we held it: the same leadership again, not a new one. */
function acquiredBefore(leadership: Leadership, claim: { readonly now: number }): LeaseSpec {
  const before = leadership.lease.spec ?? {};
  return {
    ...before,
    renewTime: renewedSpec(before, { identity: '', leaseDurationMs: 0, now: claim.now }).renewTime ?? '',
  };
}

function checkTiming(leaseDurationMs: number, renewDeadlineMs: number, retryPeriodMs: number): void {
  if (leaseDurationMs > renewDeadlineMs && renewDeadlineMs > retryPeriodMs && retryPeriodMs > 0) return;
  throw new LeaseTimingError(
    `the Lease needs leaseDuration > renewDeadline > retryPeriod > 0; got ${leaseDurationMs} ms, ${renewDeadlineMs} ms, ${retryPeriodMs} ms`,
  );
}
