import type { Replica } from '@shard-controller/shared/contracts';
import type { Health, ShardObservation } from '../aggregate/index.ts';
import { classify, type HealthBounds, type ShardSignals } from '../health-monitor/index.ts';
import type { WorkerPod } from '../effects/worker-pods.ts';
import type { WorkerView } from './worker-registry.ts';

/** Everything seen of one shard's active worker, from sources that fail independently. */
export interface ShardSources {
  readonly worker: WorkerView | undefined;
  /** Nobody listened on its ping subject since it was last heard. */
  readonly unreachable: boolean;
  readonly hearingSince: number;
  /** Its pod; null when the API server says that there is none, undefined when the API server was not heard. */
  readonly pod: WorkerPod | null | undefined;
  /** When its entry in the ShardInstance was last seen to change. Monotonic, ms. */
  readonly instanceStatusAt: number | undefined;
}

/** The replica whose health is the shard's. */
export const ACTIVE_REPLICA: Replica = 'a';

function signalsOf(sources: ShardSources): ShardSignals {
  const { worker, pod } = sources;
  return {
    heartbeat: worker === undefined ? undefined : { at: worker.heardAt, content: worker.heartbeat },
    hearingSince: sources.hearingSince,
    unableSince: worker?.unableSince,
    ping: sources.unreachable ? 'no-responders' : 'none',
    pod: podSignal(pod),
    instanceStatusAt: sources.instanceStatusAt,
  };
}

function podSignal(pod: WorkerPod | null | undefined): ShardSignals['pod'] {
  if (pod === undefined) return 'unknown';
  if (pod === null) return 'deleted';
  if (pod.phase === 'Failed' || pod.phase === 'Succeeded' || pod.workerDown) return 'terminated';
  if (pod.ready) return 'ready';
  return pod.notReadyReason === '' ? 'unknown' : 'not-ready';
}

/** What the shard looks like now. `previous` is its health in the state; `now` is monotonic, ms. */
export function observeShard(
  shardId: string,
  sources: ShardSources,
  previous: Health,
  bounds: HealthBounds,
  now: number,
): ShardObservation {
  const { worker, pod } = sources;
  const { health, evidence } = classify(signalsOf(sources), previous, bounds, now);
  const heartbeat = worker?.heartbeat;
  return {
    shardId,
    health,
    evidence,
    revision: heartbeat?.revision ?? '',
    draining: heartbeat?.phase === 'Draining' || pod?.deleting === true,
    generation: heartbeat?.generation ?? 0,
    epoch: heartbeat?.epoch ?? 0,
  };
}
