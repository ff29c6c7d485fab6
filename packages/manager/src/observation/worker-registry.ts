import type { Heartbeat, WorkerAddress } from '@shard-controller/shared/contracts';
import { canServe } from '../health-monitor/index.ts';
import { type LoadMarks, loadMarks } from './load-progress.ts';

/** What heartbeats and pings have reported about one worker. Times are monotonic, ms. */
export interface WorkerView {
  readonly heartbeat: Heartbeat;
  readonly heardAt: number;
  /** Since when its heartbeats say that it cannot serve; undefined while it can. */
  readonly unableSince: number | undefined;
  /** Since when its heartbeats say that its gateway has to refuse scrapes; undefined while it need not. */
  readonly coldSince: number | undefined;
  /** Since when its heartbeats say that it is Running; undefined while they do not. */
  readonly runningSince: number | undefined;
  readonly load: LoadMarks;
  /**
   * The first of its heartbeats under its present assignment that says that its exposition holds all slots of it: when it
   * came, and when it was sent on the worker's clock. Undefined while they do not say so.
   */
  readonly shown: { readonly at: number; readonly sentAt: number } | undefined;
}

/** What became of a ping to a worker that has not been heard since. */
export type FailedPing = 'no-responders' | 'unanswered';

/** Processes of one worker that were replaced by another one; late messages of theirs are ignored. */
const MAX_RETIRED = 32;
/** A process that was heard within this time is alive: no other process speaks for it. ms */
const PRESENT_MS = 2_500;
/** What a worker has written in its ShardInstance is its word for so long, ms: it writes at least every 10 s. */
const WORD_MS = 15_000;
/** A lower count that keeps rising for so many messages and so long is the process' own. */
const OWN_COUNT = { messages: 3, ms: 1_500 } as const;

/** What the API server says of a worker: who wrote its entry in the ShardInstance, which only its own token can do. */
export interface WorkerWord {
  readonly boot: string;
  /** When the entry was last seen to change. Monotonic, ms. */
  readonly at: number;
}

interface Entry {
  /** Undefined once the worker was removed. */
  view: WorkerView | undefined;
  readonly retired: Set<string>;
  /** Messages of the present process that count less than the newest one. */
  lower: { readonly sequence: number; readonly messages: number; readonly since: number } | undefined;
  /** Another process that claims to be the worker. `at`: its newest message. */
  rival: { readonly boot: string; readonly since: number; readonly at: number } | undefined;
}

/**
 * - news, same: taken; `news` when something other than the beat itself has changed.
 * - stale: an older message, or one of a process that was replaced.
 * - rival: another process claims to be this worker, and it is not known to be.
 * - corrected: taken; the count that stood before was not this process'.
 * - foreign: of another pod than the one that is the worker's.
 */
export type HeartbeatOutcome = 'news' | 'same' | 'stale' | 'rival' | 'corrected' | 'foreign';

/**
 * The newest word of every worker, by address. Its `boot` distinguishes a process from another one. Anybody may claim to be a
 * worker on NATS: whose the heartbeats are is decided by what the worker has written to its ShardInstance, and where that
 * is old or missing by who was there first and still speaks.
 */
export class WorkerRegistry {
  readonly #entries = new Map<string, Entry>();
  /** Newest failed pings of workers that have not been heard since. */
  readonly #pings = new Map<string, FailedPing>();

  /** @param word what the worker has written to the API server, if anything; `now` is monotonic, ms */
  heard(address: WorkerAddress, heartbeat: Heartbeat, now: number, word?: WorkerWord): HeartbeatOutcome {
    if (!isWorkerPod(heartbeat.pod, address)) return 'foreign';
    const key = keyOf(address);
    const entry = this.#entries.get(key) ?? { view: undefined, retired: new Set(), lower: undefined, rival: undefined };
    this.#entries.set(key, entry);
    if (entry.retired.has(heartbeat.boot)) return 'stale';
    // What an earlier ShardConfig of this name left is no rival.
    const before = entry.view?.heartbeat.uid === heartbeat.uid ? entry.view : undefined;
    const claimed = word !== undefined && now - word.at < WORD_MS ? word.boot : undefined;
    if (before?.heartbeat.boot !== heartbeat.boot && isRival(before, heartbeat, claimed, now)) {
      const since = entry.rival?.boot === heartbeat.boot ? entry.rival.since : now;
      entry.rival = { boot: heartbeat.boot, since, at: now };
      return 'rival';
    }
    if (before !== undefined && before.heartbeat.boot !== heartbeat.boot && claimed === heartbeat.boot) {
      retire(entry.retired, before.heartbeat.boot);
    }
    const isLower = before?.heartbeat.boot === heartbeat.boot && heartbeat.sequence < before.heartbeat.sequence;
    if (isLower && !isOwnCount(entry, heartbeat, now)) return 'stale';
    entry.lower = undefined;
    if (entry.rival?.boot === heartbeat.boot) entry.rival = undefined;
    this.#take(key, entry, heartbeat, now);
    if (isLower) return 'corrected';
    return before === undefined || substance(before.heartbeat) !== substance(heartbeat) ? 'news' : 'same';
  }

  /** Since when another process has claimed to be this worker, monotonic ms; undefined when none does now. */
  rivalSince(address: WorkerAddress, now: number): number | undefined {
    const rival = this.#entries.get(keyOf(address))?.rival;
    return rival === undefined || now - rival.at > WORD_MS ? undefined : rival.since;
  }

  #take(key: string, entry: Entry, heartbeat: Heartbeat, now: number): void {
    const earlier = entry.view?.heartbeat.boot === heartbeat.boot ? entry.view : undefined;
    entry.view = {
      heartbeat,
      heardAt: now,
      unableSince: canServe(heartbeat) ? undefined : (earlier?.unableSince ?? now),
      coldSince: isCold(heartbeat) ? (earlier?.coldSince ?? now) : undefined,
      runningSince: heartbeat.phase === 'Running' ? (earlier?.runningSince ?? now) : undefined,
      load: loadMarks(earlier?.load, heartbeat, now),
      shown: shownSince(heartbeat, earlier, now),
    };
    this.#pings.delete(key);
  }

  /** A ping has failed; whether that is news. A later heartbeat takes it back. */
  pingFailed(address: WorkerAddress, how: FailedPing): boolean {
    const key = keyOf(address);
    const isNews = this.#pings.get(key) !== how;
    this.#pings.set(key, how);
    return isNews;
  }

  /** How the newest ping since the worker was last heard has failed; `none` where none has. */
  ping(address: WorkerAddress): FailedPing | 'none' {
    return this.#pings.get(keyOf(address)) ?? 'none';
  }

  /** The worker, if it belongs to the ShardConfig with this uid: another one may have had the same name before. */
  view(address: WorkerAddress, uid: string): WorkerView | undefined {
    const view = this.#entries.get(keyOf(address))?.view;
    return view?.heartbeat.uid === uid ? view : undefined;
  }

  /** The worker was removed: it is unknown from now on, and its process is not heard again. */
  removed(address: WorkerAddress): void {
    const entry = this.#entries.get(keyOf(address));
    if (entry?.view !== undefined) retire(entry.retired, entry.view.heartbeat.boot);
    if (entry !== undefined) entry.view = undefined;
    this.#pings.delete(keyOf(address));
  }

  /** Forgets all workers of a ShardConfig. */
  forget(namespace: string, config: string): void {
    const prefix = `${namespace}/${config}/`;
    for (const key of this.#entries.keys()) if (key.startsWith(prefix)) this.#entries.delete(key);
    for (const key of this.#pings.keys()) if (key.startsWith(prefix)) this.#pings.delete(key);
  }
}

const keyOf = ({ namespace, config, shardId, replica }: WorkerAddress): string =>
  `${namespace}/${config}/${shardId}/${replica}`;

/** Whether a pod is this worker: of one of the ShardConfig's StatefulSets, by its ordinal. */
function isWorkerPod(pod: string, { config, shardId, replica }: WorkerAddress): boolean {
  const ordinal = Number(shardId.slice('shard-'.length));
  return pod === `${config}-${replica}-${ordinal}` || pod === `${config}-s-${ordinal}`;
}

/** Whether a process that is not the one heard so far has no claim to be the worker. */
function isRival(
  before: WorkerView | undefined,
  { boot }: Heartbeat,
  claimed: string | undefined,
  now: number,
): boolean {
  if (claimed !== undefined) return claimed !== boot;
  return before !== undefined && now - before.heardAt < PRESENT_MS;
}

/**
 * A message that counts less than the newest one is late, unless such messages continue: then the newest one was somebody
 * else's, with a count that the worker would not reach for years.
 */
function isOwnCount(entry: Entry, { sequence }: Heartbeat, now: number): boolean {
  const { lower } = entry;
  const goesOn = lower !== undefined && sequence > lower.sequence;
  entry.lower = { sequence, messages: goesOn ? lower.messages + 1 : 1, since: goesOn ? lower.since : now };
  return entry.lower.messages >= OWN_COUNT.messages && now - entry.lower.since >= OWN_COUNT.ms;
}

/** A standby that refuses scrapes does its duty. */
const isCold = ({ gateway }: Heartbeat): boolean => gateway.state === 'warming' || gateway.state === 'fenced';

function shownSince(heartbeat: Heartbeat, earlier: WorkerView | undefined, now: number): WorkerView['shown'] {
  const { phase, slots, generation, epoch, sentAt } = heartbeat;
  const isWhole = (phase === 'Running' || phase === 'Draining') && slots.acknowledged >= slots.assigned;
  if (!isWhole) return undefined;
  const before = earlier?.heartbeat;
  const isSame = before?.generation === generation && before.epoch === epoch;
  return (isSame ? earlier?.shown : undefined) ?? { at: now, sentAt };
}

function retire(retired: Set<string>, boot: string): void {
  retired.add(boot);
  const [oldest] = retired;
  if (retired.size > MAX_RETIRED && oldest !== undefined) retired.delete(oldest);
}

/** The part of a heartbeat that decisions hang on; figures and scrape times alone are no reason to hurry. */
function substance({
  boot,
  phase,
  generation,
  epoch,
  refused,
  exporter,
  gateway,
  slots,
  handovers,
  revision,
}: Heartbeat): string {
  return JSON.stringify([
    boot,
    phase,
    generation,
    epoch,
    refused,
    exporter.state,
    gateway.state,
    slots,
    handovers,
    revision,
  ]);
}
