import type { Heartbeat, WorkerAddress } from '@shard-controller/shared/contracts';
import { canServe } from '../health-monitor/index.ts';
import { type LoadMarks, loadMarks } from './load-progress.ts';

/** What heartbeats and pings have told about one worker. Times are monotonic, ms. */
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

interface Entry {
  /** Undefined once the worker was removed. */
  view: WorkerView | undefined;
  readonly retired: Set<string>;
}

export type HeartbeatOutcome = 'news' | 'same' | 'stale';

/**
 * The newest word of every worker, by address. A process is told from its successor by its `boot`: once a new one has
 * spoken, the old one is not heard again, however late its messages come.
 */
export class WorkerRegistry {
  readonly #entries = new Map<string, Entry>();
  /** Newest failed pings of workers that have not been heard since. */
  readonly #pings = new Map<string, FailedPing>();

  /** `news` when something other than the beat itself changed; `stale` for an older or a retired process's message. */
  heard(address: WorkerAddress, heartbeat: Heartbeat, now: number): HeartbeatOutcome {
    const key = keyOf(address);
    const entry = this.#entries.get(key);
    const before = entry?.view?.heartbeat;
    if (entry?.retired.has(heartbeat.boot) === true) return 'stale';
    if (before?.uid === heartbeat.uid && entry !== undefined) {
      if (before.boot === heartbeat.boot && heartbeat.sequence < before.sequence) return 'stale';
      if (before.boot !== heartbeat.boot) retire(entry.retired, before.boot);
    }
    const earlier = before?.boot === heartbeat.boot ? entry?.view : undefined;
    const view: WorkerView = {
      heartbeat,
      heardAt: now,
      unableSince: canServe(heartbeat) ? undefined : (earlier?.unableSince ?? now),
      coldSince: isCold(heartbeat) ? (earlier?.coldSince ?? now) : undefined,
      runningSince: heartbeat.phase === 'Running' ? (earlier?.runningSince ?? now) : undefined,
      load: loadMarks(earlier?.load, heartbeat, now),
      shown: shownSince(heartbeat, earlier, now),
    };
    this.#pings.delete(key);
    if (entry === undefined) this.#entries.set(key, { view, retired: new Set() });
    else entry.view = view;
    return before === undefined || substance(before) !== substance(heartbeat) ? 'news' : 'same';
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

/** A standby that refuses scrapes does what it shall. */
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
