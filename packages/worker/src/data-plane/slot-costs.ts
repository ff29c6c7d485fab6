import type { ObjectIndex } from '../feed/books/index.ts';

/** What a slot costs this worker's exporter, over all feeds. */
export interface SlotLoad {
  readonly objects: number;
  /** Size of its objects as the exporter was sent them, bytes. */
  readonly bytes: number;
  /** Live events of its objects, bytes per second, smoothed over about a minute. */
  readonly churn: number;
}

/** Time between two measurements, ms. */
const INTERVAL_MS = 5_000;
/** Time constant of the smoothing, ms. */
const SMOOTHING_MS = 60_000;

/** Measures the churn of each slot; the rest is read off the indexes. */
export class SlotCosts {
  #churn = new Float64Array(0);
  #seen = new Float64Array(0);
  #observedAt: number | undefined;

  /** @param now monotonic ms. */
  observe(indexes: readonly (ObjectIndex | undefined)[], now: number): void {
    if (this.#observedAt !== undefined && now - this.#observedAt < INTERVAL_MS) return;
    const slotCount = Math.max(0, ...indexes.map((index) => index?.slotCount ?? 0));
    const isNew = this.#observedAt === undefined || this.#seen.length !== slotCount;
    const elapsed = now - (this.#observedAt ?? now);
    this.#observedAt = now;
    if (isNew) {
      this.#churn = new Float64Array(slotCount);
      this.#seen = new Float64Array(slotCount);
    }
    const weight = 1 - Math.exp(-elapsed / SMOOTHING_MS);
    for (let slot = 0; slot < slotCount; slot++) {
      const total = indexes.reduce((sum, index) => sum + (index?.churnBytes(slot) ?? 0), 0);
      // A feed that was closed takes its count with it.
      const rate = isNew ? 0 : (Math.max(0, total - (this.#seen[slot] ?? 0)) * 1000) / elapsed;
      this.#seen[slot] = total;
      this.#churn[slot] = (this.#churn[slot] ?? 0) * (1 - weight) + rate * weight;
    }
  }

  /** Churn of all slots, bytes per second. */
  get total(): number {
    return this.#churn.reduce((sum, churn) => sum + churn, 0);
  }

  load(indexes: readonly (ObjectIndex | undefined)[], slot: number): SlotLoad {
    let objects = 0;
    let bytes = 0;
    for (const index of indexes) {
      objects += index?.sentInSlot(slot) ?? 0;
      bytes += index?.sentBytes(slot) ?? 0;
    }
    return { objects, bytes, churn: this.#churn[slot] ?? 0 };
  }
}
