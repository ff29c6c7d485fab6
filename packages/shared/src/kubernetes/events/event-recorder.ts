import { createHash } from 'node:crypto';
import type { Logger } from '../../observability/index.ts';
import { type Clock, errorMessage, fullJitter, systemClock } from '../../runtime/index.ts';
import {
  isConflict,
  isNotFound,
  type KubernetesClient,
  KubernetesError,
  type KubernetesObject,
  resourcePath,
} from '../client/index.ts';

/** What happened to an object, for `kubectl describe` and `kubectl events`. */
export interface EventNote {
  readonly type: 'Normal' | 'Warning';
  /** Why, in one CamelCase word: `ShardFailed`. */
  readonly reason: string;
  /** What was done or tried, in one CamelCase word; default is the reason. */
  readonly action?: string;
  /** A sentence for people; cut after 1 KiB. */
  readonly note: string;
}

export interface EventRecorderOptions {
  readonly client: KubernetesClient;
  readonly logger: Logger;
  /** Who reports, as a qualified name: `shard.io/shard-controller`. */
  readonly controller: string;
  /** Which instance reports: the pod's name. */
  readonly instance: string;
  readonly clock?: Clock;
  readonly random?: () => number;
  /** Most events waiting to be written; more are dropped and counted in the log. */
  readonly capacity?: number;
}

interface Series {
  readonly key: string;
  readonly regarding: KubernetesObject;
  readonly note: EventNote;
  /** Wall clock, ms. */
  readonly firstAt: number;
  lastAt: number;
  count: number;
  /** Count that the API server knows; 0 before the first write. */
  written: number;
  name: string;
  /** Monotonic, ms. */
  touchedAt: number;
  writtenAt: number;
}

/** Repeats within this time are one event with a count, as in client-go. */
const SERIES_IDLE_MS = 6 * 60_000;
/** An event that repeats is updated at most so often. */
const SERIES_UPDATE_MS = 10_000;
const MAX_TRIES = 5;
const BACKOFF = { baseMs: 200, capMs: 5_000 };
const STOP_BUDGET_MS = 2_000;

/**
 * Writes Kubernetes Events (events.k8s.io/v1). Recording returns at once and never throws; the same thing said again
 * about the same object becomes a count on the first event. Events are best effort: never build a decision on them.
 */
export class EventRecorder {
  readonly #options: EventRecorderOptions;
  readonly #clock: Clock;
  readonly #capacity: number;
  /** By object and content; the least recently touched first. */
  readonly #series = new Map<string, Series>();
  readonly #pending = new Set<Series>();
  #dropped = 0;
  #wake = Promise.withResolvers<void>();

  constructor(options: EventRecorderOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#capacity = options.capacity ?? 1_000;
  }

  /** Notes that something happened to `regarding`, which needs apiVersion, kind and metadata. */
  record(regarding: KubernetesObject, note: EventNote): void {
    try {
      this.#note(regarding, note);
    } catch (error) {
      this.#options.logger.warn({ err: error, reason: note.reason }, 'an event could not be recorded');
    }
  }

  /** Writes what is recorded until `signal` aborts; then what is left, for at most 2 s. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const due = this.#nextDue(this.#clock.monotonic());
      if (due.series === undefined) {
        await this.#sleepOrWake(due.waitMs, signal);
        continue;
      }
      await this.#write(due.series, signal);
    }
    const last = AbortSignal.timeout(STOP_BUDGET_MS);
    // What fails here is pending again: a fixed list, or this would not end.
    const left = [...this.#pending];
    for (const series of left) {
      if (last.aborted) break;
      await this.#write(series, last, 1);
    }
  }

  #note(regarding: KubernetesObject, note: EventNote): void {
    const key = seriesKey(regarding, note);
    const now = this.#clock.monotonic();
    this.#forgetIdle(now);
    const known = this.#series.get(key);
    if (known === undefined && this.#pending.size >= this.#capacity) {
      this.#dropped += 1;
      return;
    }
    const series = known ?? this.#begin(key, regarding, note);
    series.count += 1;
    series.lastAt = this.#clock.now();
    series.touchedAt = now;
    // Re-insertion keeps the map in order of use.
    this.#series.delete(key);
    this.#series.set(key, series);
    this.#pending.add(series);
    this.#wake.resolve();
  }

  #begin(key: string, regarding: KubernetesObject, note: EventNote): Series {
    const firstAt = this.#clock.now();
    return {
      key,
      regarding,
      note: { ...note, note: note.note.slice(0, 1_024) },
      firstAt,
      lastAt: firstAt,
      count: 0,
      written: 0,
      name: '',
      touchedAt: 0,
      writtenAt: Number.NEGATIVE_INFINITY,
    };
  }

  #forgetIdle(now: number): void {
    for (const [key, series] of this.#series) {
      const idle = now - series.touchedAt >= SERIES_IDLE_MS;
      if (!idle && this.#series.size < this.#capacity) return;
      if (this.#pending.has(series)) return;
      this.#series.delete(key);
    }
  }

  #nextDue(now: number): { readonly series: Series | undefined; readonly waitMs: number | undefined } {
    let waitMs: number | undefined;
    for (const series of this.#pending) {
      const wait = series.written === 0 ? 0 : series.writtenAt + SERIES_UPDATE_MS - now;
      if (wait <= 0) return { series, waitMs: 0 };
      waitMs = Math.min(wait, waitMs ?? wait);
    }
    return { series: undefined, waitMs };
  }

  async #sleepOrWake(waitMs: number | undefined, signal: AbortSignal): Promise<void> {
    this.#wake = Promise.withResolvers<void>();
    const timer = new AbortController();
    const stop = (): void => this.#wake.resolve();
    signal.addEventListener('abort', stop, { once: true });
    const sleep = waitMs === undefined ? [] : [this.#clock.sleep(waitMs, timer.signal)];
    await Promise.race([this.#wake.promise, ...sleep]);
    timer.abort();
    signal.removeEventListener('abort', stop);
  }

  async #write(series: Series, signal: AbortSignal, tries: number = MAX_TRIES): Promise<void> {
    this.#pending.delete(series);
    const { count } = series;
    const random = this.#options.random ?? Math.random;
    for (let attempt = 0; attempt < tries; attempt += 1) {
      try {
        await this.#send(series, count, signal);
        series.written = count;
        series.writtenAt = this.#clock.monotonic();
        this.#reportDropped();
        return;
      } catch (error) {
        if (signal.aborted) break;
        if (!isTransient(error) || attempt + 1 === tries) {
          this.#giveUp(series, error);
          return;
        }
        await this.#clock.sleep(fullJitter(attempt, BACKOFF, random), signal);
      }
    }
    // Stopped before it was through: the last round of `run` tries once more.
    this.#pending.add(series);
  }

  async #send(series: Series, count: number, signal: AbortSignal): Promise<void> {
    const { client } = this.#options;
    const namespace = series.regarding.metadata?.namespace ?? 'default';
    const address = { group: 'events.k8s.io', version: 'v1', resource: 'events', namespace };
    const patch = async (): Promise<unknown> =>
      client.patch(resourcePath({ ...address, name: series.name }), { series: seriesOf(series, count) }, { signal });
    if (series.written > 0) {
      try {
        await patch();
        return;
      } catch (error) {
        // The server forgets events after an hour: say it again.
        if (!isNotFound(error)) throw error;
        series.name = '';
      }
    }
    // One name for all tries: when the answer to one that got through is lost, the next must not say it twice.
    if (series.name === '') series.name = eventName(series, this.#clock.now());
    try {
      await client.create(resourcePath(address), this.#eventOf(series, namespace, count), { signal });
    } catch (error) {
      if (!isConflict(error)) throw error;
      if (count > 1) await patch();
    }
  }

  #eventOf(series: Series, namespace: string, count: number): unknown {
    const { regarding, note } = series;
    return {
      apiVersion: 'events.k8s.io/v1',
      kind: 'Event',
      metadata: { name: series.name, namespace },
      eventTime: microTime(series.firstAt),
      ...(count > 1 ? { series: seriesOf(series, count) } : {}),
      reportingController: this.#options.controller,
      reportingInstance: this.#options.instance.slice(0, 128),
      action: note.action ?? note.reason,
      reason: note.reason,
      regarding: {
        apiVersion: regarding.apiVersion,
        kind: regarding.kind,
        namespace: regarding.metadata?.namespace,
        name: regarding.metadata?.name,
        uid: regarding.metadata?.uid,
        resourceVersion: regarding.metadata?.resourceVersion,
      },
      note: note.note,
      type: note.type,
    };
  }

  #giveUp(series: Series, error: unknown): void {
    this.#series.delete(series.key);
    const message = errorMessage(error);
    this.#options.logger.warn(
      { reason: series.note.reason, object: series.regarding.metadata?.name, problem: message },
      'dropped an event that could not be written',
    );
  }

  #reportDropped(): void {
    if (this.#dropped === 0) return;
    this.#options.logger.warn({ dropped: this.#dropped }, 'events were dropped because too many waited to be written');
    this.#dropped = 0;
  }
}

function isTransient(error: unknown): boolean {
  if (!(error instanceof KubernetesError)) return false;
  return error.status === 0 || error.status === 429 || error.status >= 500;
}

function seriesKey(regarding: KubernetesObject, note: EventNote): string {
  const { metadata } = regarding;
  const object = [regarding.kind, metadata?.namespace, metadata?.name, metadata?.uid];
  return JSON.stringify([...object, note.type, note.reason, note.action, note.note]);
}

function seriesOf(series: Series, count: number): { readonly count: number; readonly lastObservedTime: string } {
  return { count, lastObservedTime: microTime(series.lastAt) };
}

function eventName(series: Series, now: number): string {
  const digest = createHash('sha256')
    .update(series.key)
    .update(String(series.firstAt))
    .update(String(now))
    .digest('hex');
  const prefix = (series.regarding.metadata?.name ?? 'object').slice(0, 200);
  return `${prefix}.${digest.slice(0, 16)}`;
}

/** metav1.MicroTime wants exactly six decimals. */
function microTime(ms: number): string {
  return new Date(ms).toISOString().replace('Z', '000Z');
}
