import type { Health, LoadProgress, Settings, ShardObservation } from '../aggregate/index.ts';
import { classify, type HealthBounds, type ShardSigns, type StandbySigns } from '../health-monitor/index.ts';
import { loadProgress } from './load-progress.ts';
import { scraperProgress } from './scrapers.ts';
import type { WorkerPod } from './worker-pods.ts';
import type { WorkerView } from './worker-registry.ts';

/** Everything seen of one worker of a shard, from sources that fail independently. */
export interface WorkerSources {
  readonly worker: WorkerView | undefined;
  /** How the newest ping since it was last heard has failed, if so. */
  readonly ping: ShardSigns['ping'];
  readonly listeningSince: number;
  /** Its pod; null when the API server says that there is none, undefined when the API server was not heard. */
  readonly pod: WorkerPod | null | undefined;
  /** When its entry in the ShardInstance was last seen to change. Monotonic, ms. */
  readonly instanceStatusAt: number | undefined;
  /** When the ShardInstance was last asked for and got. Monotonic, ms. */
  readonly instanceReadAt: number | undefined;
}

/** The active worker's, whose health is the shard's, and those of the other replica. */
export interface ShardSources extends WorkerSources {
  readonly other: WorkerSources;
}

export function signsOf(sources: WorkerSources, now: number): ShardSigns {
  const { worker, pod } = sources;
  return {
    heartbeat: worker === undefined ? undefined : { at: worker.heardAt, content: worker.heartbeat },
    listeningSince: sources.listeningSince,
    unableSince: worker?.unableSince,
    coldSince: worker?.coldSince,
    standstillMs: loadOf(sources, now)?.standstillMs ?? 0,
    ping: sources.ping,
    pod: podSign(pod),
    instanceStatusAt: sources.instanceStatusAt,
    instanceReadAt: sources.instanceReadAt,
  };
}

/** How the worker's load progresses; undefined while it has not been heard. `now` is monotonic, ms. */
export function loadOf({ worker, listeningSince }: WorkerSources, now: number): LoadProgress | undefined {
  return worker === undefined ? undefined : loadProgress(worker.load, worker.heartbeat, listeningSince, now);
}

function podSign(pod: WorkerPod | null | undefined): ShardSigns['pod'] {
  if (pod === undefined) return 'unknown';
  if (pod === null) return 'deleted';
  if (pod.phase === 'Failed' || pod.phase === 'Succeeded' || pod.workerDown) return 'terminated';
  if (pod.ready) return 'ready';
  return pod.notReadyReason === '' ? 'unknown' : 'not-ready';
}

/** What the shard looks like now. `previous` is its health in the state; `now` is monotonic, ms. */
export function observeShard(
  shardId: string,
  sources: WorkerSources,
  previous: Health,
  bounds: HealthBounds,
  now: number,
): ShardObservation {
  const { worker } = sources;
  const { health, evidence } = classify(signsOf(sources, now), previous, bounds, now);
  const heartbeat = worker?.heartbeat;
  return {
    shardId,
    health,
    evidence,
    revision: heartbeat?.revision ?? '',
    draining: isTerminating(sources),
    generation: heartbeat?.generation ?? 0,
    epoch: heartbeat?.epoch ?? 0,
  };
}

/**
 * Whether its newest heartbeat says that all slots of its assignment are in its exposition, and everybody who reads it has
 * read it since; a scraper that has not come for the longest overlap does not count.
 */
export function hasShown(
  { worker }: WorkerSources,
  { scraperTtlMs, maxOverlapMs }: Settings['handover'],
  { suspectMs }: HealthBounds,
  now: number,
): boolean {
  if (worker?.shown === undefined || now - worker.heardAt >= suspectMs) return false;
  const { heartbeat, shown } = worker;
  return scraperProgress(heartbeat, heartbeat, [], shown.sentAt, scraperTtlMs).moved || now - shown.at >= maxOverlapMs;
}

const isTerminating = ({ worker, pod }: WorkerSources): boolean =>
  worker?.heartbeat.phase === 'Draining' || pod?.deleting === true;

/** What decides whether the standby of a shard takes over. `now` is monotonic, ms. */
export function standbySigns(sources: ShardSources, now: number): StandbySigns {
  const { other } = sources;
  return {
    active: { ...signsOf(sources, now), terminating: isTerminating(sources) },
    standby: {
      heartbeat: signsOf(other, now).heartbeat,
      runningSince: other.worker?.runningSince,
      terminating: isTerminating(other) || other.worker?.heartbeat.phase === 'Terminated',
    },
  };
}
