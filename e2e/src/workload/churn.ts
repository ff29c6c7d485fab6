import { KubernetesError } from '@shard-controller/shared/kubernetes';
import { KINDS, pathOf, POD } from './kinds.ts';
import type { Item, Workload } from './workload.ts';

/** `everything`: the mix below. `values`: only changes that leave every series in place and change its value. */
export type ChurnMode = 'everything' | 'values';

export interface ChurnCounts {
  readonly status: number;
  readonly label: number;
  readonly create: number;
  readonly delete: number;
  readonly recreate: number;
  /** Requests that failed, for example while the API server is away. */
  readonly failed: number;
}

type Change = 'status' | 'label' | 'create' | 'delete' | 'recreate';

/** Share of each change, in percent. */
const MIX: readonly (readonly [Change, number])[] = [
  ['status', 40],
  ['label', 20],
  ['create', 15],
  ['delete', 15],
  ['recreate', 10],
];

/**
 * How long a deleted object stays away before its name comes back. A pod's series carry its uid, so a pod comes back
 * at once, which is the hard case for the workers. Series of other kinds do not: their gap is real, and has to be long
 * enough for a sampling verifier to see it in the reference too.
 */
const RECREATE_AFTER_MS = 3000;

/** A pod that becomes Ready again sooner has a real gap in `kube_pod_status_ready_time`, just as hard to see. */
const READY_CHANGES_AFTER_MS = 3000;

/** Requests in progress at most; beyond that the rate falls behind instead of the memory growing. */
const IN_FLIGHT = 64;
const TICK_MS = 20;

/** Changes objects at a set rate until stopped. */
export class Churn {
  readonly #workload: Workload;
  readonly #counts = { status: 0, label: 0, create: 0, delete: 0, recreate: 0, failed: 0 };
  readonly #pending = new Set<Promise<void>>();
  readonly #busy = new Set<Item>();
  readonly #readyChanged = new WeakMap<Item, number>();
  #mode: ChurnMode = 'everything';
  #perSecond: number;
  readonly #recreateAfterMs: number;
  #paused = false;
  #lastFailure = '';

  constructor(workload: Workload, perSecond: number, recreateAfterMs = RECREATE_AFTER_MS) {
    this.#workload = workload;
    this.#perSecond = perSecond;
    this.#recreateAfterMs = recreateAfterMs;
  }

  get counts(): ChurnCounts {
    return { ...this.#counts };
  }

  /** Why the newest failed request failed. */
  get lastFailure(): string {
    return this.#lastFailure;
  }

  setMode(mode: ChurnMode): void {
    this.#mode = mode;
  }

  /** Stops making changes; resolves when none is in progress. */
  async pause(): Promise<void> {
    this.#paused = true;
    while (this.#pending.size > 0) await Promise.all(this.#pending);
  }

  resume(): void {
    this.#paused = false;
  }

  async run(signal: AbortSignal): Promise<void> {
    let last = performance.now();
    let owed = 0;
    while (!signal.aborted) {
      await new Promise((resolve) => setTimeout(resolve, TICK_MS));
      const now = performance.now();
      owed = Math.min(this.#perSecond, owed + ((now - last) / 1000) * this.#perSecond);
      last = now;
      if (this.#paused) owed = 0;
      while (owed >= 1 && this.#pending.size < IN_FLIGHT) {
        owed--;
        this.#start();
      }
    }
    await this.pause();
  }

  #start(): void {
    const change = this.#mode === 'values' ? 'status' : this.#draw();
    const work = this.#apply(change).then(
      () => void this.#counts[change]++,
      (error: unknown) => {
        this.#counts.failed++;
        this.#lastFailure = error instanceof Error ? error.message : String(error);
      },
    );
    const tracked = work.finally(() => this.#pending.delete(tracked));
    this.#pending.add(tracked);
  }

  #draw(): Change {
    let at = this.#workload.random.below(100);
    for (const [change, percent] of MIX) {
      if (at < percent) return change;
      at -= percent;
    }
    return 'status';
  }

  async #apply(change: Change): Promise<void> {
    if (change === 'create') {
      const kinds = KINDS.filter((kind) => kind.churns);
      const kind = this.#workload.random.below(10) < 7 ? POD : (this.#workload.random.pick(kinds) ?? POD);
      return this.#workload.create(kind);
    }
    const item = this.#choose(change);
    if (item === undefined) return;
    this.#busy.add(item);
    try {
      if (change === 'status') await this.#changeStatus(item);
      else if (change === 'label') await this.#changeLabel(item);
      else await this.#remove(item, change === 'recreate');
    } finally {
      this.#busy.delete(item);
    }
  }

  #choose(change: Change): Item | undefined {
    for (let tries = 0; tries < 50; tries++) {
      const item = this.#workload.random.pick(this.#workload.items);
      if (item === undefined || this.#busy.has(item)) continue;
      if (change === 'status' && item.kind !== POD && item.kind.kind !== 'Widget' && item.kind.kind !== 'DaemonSet')
        continue;
      if ((change === 'delete' || change === 'recreate') && 'churns' in item.kind && !item.kind.churns) continue;
      return item;
    }
    return undefined;
  }

  async #changeStatus(item: Item): Promise<void> {
    const path = `${pathOf(item.kind, item.namespace, item.name)}/status`;
    const value = this.#workload.random.below(1000);
    if (item.kind !== POD) {
      const status =
        item.kind.kind === 'Widget'
          ? { ready: value }
          : { currentNumberScheduled: value, desiredNumberScheduled: value, numberMisscheduled: 0, numberReady: value };
      return void (await this.#workload.client.patch(
        path,
        { status },
        { contentType: 'application/merge-patch+json' },
      ));
    }
    const readyMayChange = performance.now() - (this.#readyChanged.get(item) ?? -Infinity) >= READY_CHANGES_AFTER_MS;
    if (this.#mode === 'values' || !readyMayChange || this.#workload.random.below(2) === 0) {
      const patch = [{ op: 'replace', path: '/status/containerStatuses/0/restartCount', value }];
      return void (await this.#workload.client.patch(path, patch, { contentType: 'application/json-patch+json' }));
    }
    this.#readyChanged.set(item, performance.now());
    const status = { conditions: [{ type: 'Ready', status: value % 2 === 0 ? 'True' : 'False' }] };
    await this.#workload.client.patch(path, { status }, { contentType: 'application/strategic-merge-patch+json' });
  }

  async #changeLabel(item: Item): Promise<void> {
    const labels = { revision: String(this.#workload.random.below(1_000_000)) };
    await this.#workload.client.patch(
      pathOf(item.kind, item.namespace, item.name),
      { metadata: { labels } },
      { contentType: 'application/merge-patch+json' },
    );
  }

  async #remove(item: Item, recreate: boolean): Promise<void> {
    const { items, client } = this.#workload;
    const at = items.indexOf(item);
    if (at === -1) return;
    items[at] = items.at(-1) as Item;
    items.pop();
    try {
      await client.delete(pathOf(item.kind, item.namespace, item.name), {
        gracePeriodSeconds: 0,
        propagationPolicy: 'Background',
      });
      if (!recreate) return;
      if (item.kind !== POD) await new Promise((resolve) => setTimeout(resolve, this.#recreateAfterMs));
      await this.#workload.write(item);
      items.push(item);
    } catch (error) {
      if (!(error instanceof KubernetesError && error.status === 404)) items.push(item);
      throw error;
    }
  }
}
