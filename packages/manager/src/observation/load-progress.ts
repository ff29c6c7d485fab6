import type { Heartbeat } from '@shard-controller/shared/contracts';
import type { LoadProgress } from '../aggregate/index.ts';

/**
 * How a worker's load progresses, by what its heartbeats said up to now. The figures are the largest that count as growth,
 * because live events make the number of objects go up and down while nothing is being loaded.
 */
export interface LoadMarks {
  /** Monotonic, ms: when something was last added, or there was nothing to load. */
  readonly grewAt: number;
  readonly complete: boolean;
  readonly exporter: Heartbeat['exporter']['state'];
  readonly assigned: number;
  readonly total: number;
  readonly synced: number;
  readonly shown: number;
  readonly objects: number;
}

/** Growth by less than this share is what happens in a cluster anyway. */
const LEAST_GROWTH = 0.01;

/** Slots that a scrape shows; a worker of an older version says only which are acknowledged. */
const shownSlots = ({ slots }: Heartbeat): number => slots.shown ?? slots.acknowledged;

/** Whether the exporter shows everything that the worker has been assigned. */
function isComplete(heartbeat: Heartbeat): boolean {
  const { phase, gateway, slots } = heartbeat;
  if (phase === 'Running') return true;
  const isServing = gateway.state === 'serving' || gateway.state === 'draining';
  return isServing && shownSlots(heartbeat) >= slots.assigned;
}

/** Marks after `heartbeat`; `before` is undefined for the first one of a process. `now` is monotonic, ms. */
export function loadMarks(before: LoadMarks | undefined, heartbeat: Heartbeat, now: number): LoadMarks {
  const { feeds, load, gateway, slots, exporter } = heartbeat;
  const complete = isComplete(heartbeat);
  const marks = {
    grewAt: now,
    complete,
    exporter: exporter.state,
    assigned: slots.assigned,
    total: feeds.total,
    synced: feeds.synced,
    shown: shownSlots(heartbeat),
    objects: load.objects,
  };
  // What was complete a moment ago begins a load, and so does an exporter that has just started or starts over.
  const begins = before?.complete !== false || (before.exporter !== 'running' && exporter.state === 'running');
  if (complete || begins || gateway.startsOver === true) return marks;
  const hasGrown =
    marks.assigned > before.assigned ||
    marks.total > before.total ||
    marks.synced > before.synced ||
    marks.shown > before.shown ||
    marks.objects > before.objects * (1 + LEAST_GROWTH);
  return hasGrown ? { ...marks, ...largest(marks, before) } : { ...before, complete, exporter: exporter.state };
}

const largest = (
  a: LoadMarks,
  b: LoadMarks,
): Pick<LoadMarks, 'assigned' | 'total' | 'synced' | 'shown' | 'objects'> => ({
  assigned: Math.max(a.assigned, b.assigned),
  total: Math.max(a.total, b.total),
  synced: Math.max(a.synced, b.synced),
  shown: Math.max(a.shown, b.shown),
  objects: Math.max(a.objects, b.objects),
});

/**
 * The same as decisions use it.
 * @param listeningSince since when this manager could have heard of growth; monotonic, ms.
 */
export function loadProgress(
  marks: LoadMarks,
  heartbeat: Heartbeat,
  listeningSince: number,
  now: number,
): LoadProgress {
  return {
    complete: marks.complete,
    shownSlots: shownSlots(heartbeat),
    generation: heartbeat.generation,
    epoch: heartbeat.epoch,
    standstillMs: marks.complete ? 0 : Math.max(0, now - Math.max(marks.grewAt, listeningSince)),
  };
}
