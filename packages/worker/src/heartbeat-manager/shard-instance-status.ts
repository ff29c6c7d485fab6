import {
  API_VERSION,
  type Condition,
  type ReplicaStatus,
  SHARD_INSTANCE_KIND,
  type ShardInstanceStatus,
} from '@shard-controller/shared/api';
import type { Heartbeat, UnavailableKind } from '@shard-controller/shared/contracts';
import type { WorkerIdentity } from '../worker-identity.ts';

const MAX_RESOURCES = 500;
const MAX_GATEWAY = 200;
const MAX_REFUSED = 600;

/** The object to apply: this worker's entry, and the fields that show the active replica when that is this one. */
export function statusObject(
  identity: WorkerIdentity,
  heartbeat: Heartbeat,
  load: number | undefined,
  active: boolean,
  conditions: Condition[],
): {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: object;
  readonly status: ShardInstanceStatus;
} {
  const replica = replicaStatus(heartbeat, load);
  const { phase, lastHeartbeat, assignedResources } = replica;
  const figures = load === undefined ? {} : { load };
  const top = active ? { phase, lastHeartbeat, assignedResources, conditions, ...figures } : {};
  return {
    apiVersion: API_VERSION,
    kind: SHARD_INSTANCE_KIND,
    metadata: { name: identity.shardInstance, namespace: identity.namespace },
    status: { ...top, replicas: [replica] },
  };
}

/** Whether a worker that said this last had seen its exporter show everything. */
export function showedEverything(status: Pick<ReplicaStatus, 'phase' | 'gateway'> | undefined): boolean {
  if (status === undefined) return false;
  // A standby serves nothing; its phase says whether it could.
  return status.phase === 'Running' || /^(serving|draining)\b/.test(status.gateway ?? '');
}

/** The kinds that a worker that said this last could not read. */
export function unavailableIn(status: Pick<ReplicaStatus, 'unavailable'> | undefined): readonly UnavailableKind[] {
  return (status?.unavailable ?? []).map(({ since, ...kind }) => ({ ...kind, since: Date.parse(since) }));
}

/** What a change of makes the status be written at once; everything else can wait for the next regular write. */
export function statusSignature(heartbeat: Heartbeat): string {
  const { phase, generation, epoch, slots, gateway, refused, handovers, unavailable } = heartbeat;
  const moves = handovers.map(({ migration, role, state }) => [migration, role, state]);
  return JSON.stringify([phase, generation, epoch, slots, gateway.state, refused, moves, unavailable]);
}

function replicaStatus(heartbeat: Heartbeat, load: number | undefined): ReplicaStatus {
  const { gateway, refused, handovers, slots, unavailable } = heartbeat;
  return {
    replica: heartbeat.replica,
    pod: heartbeat.pod,
    node: heartbeat.node,
    boot: heartbeat.boot,
    revision: heartbeat.revision,
    phase: heartbeat.phase,
    ...(load === undefined ? {} : { load }),
    lastHeartbeat: time(heartbeat.sentAt),
    assignedResources: Object.entries(heartbeat.load.objectsByResource)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .slice(0, MAX_RESOURCES)
      .map(([resource, objects]) => `${resource}: ${objects}`),
    generation: heartbeat.generation,
    epoch: heartbeat.epoch,
    slots: { assigned: slots.assigned, acknowledged: slots.acknowledged },
    gateway: (gateway.reason === '' ? gateway.state : `${gateway.state}: ${gateway.reason}`).slice(0, MAX_GATEWAY),
    ...(refused === undefined
      ? {}
      : { refused: `${refused.generation}/${refused.epoch}: ${refused.reason}`.slice(0, MAX_REFUSED) }),
    ...(unavailable === undefined
      ? {}
      : { unavailable: unavailable.kinds.map(({ since, ...kind }) => ({ ...kind, since: time(since) })) }),
    handovers: handovers.map(({ migration, role, state, objects, acknowledgedAt, error, without }) => ({
      migration,
      role,
      state,
      objects,
      ...(acknowledgedAt === undefined ? {} : { acknowledgedAt: time(acknowledgedAt) }),
      ...(error === undefined ? {} : { error }),
      ...(without === undefined ? {} : { without }),
    })),
  };
}

const time = (ms: number): string => new Date(ms).toISOString();
