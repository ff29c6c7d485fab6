import {
  API_VERSION,
  type ReplicaStatus,
  SHARD_INSTANCE_KIND,
  type ShardInstanceStatus,
} from '@shard-controller/shared/api';
import type { Heartbeat } from '@shard-controller/shared/contracts';
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
): {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: object;
  readonly status: ShardInstanceStatus;
} {
  const replica = replicaStatus(heartbeat, load);
  const { phase, lastHeartbeat, assignedResources } = replica;
  const top = active ? { phase, lastHeartbeat, assignedResources, ...(load === undefined ? {} : { load }) } : {};
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

/** What a change of makes the status be written at once; everything else can wait for the next regular write. */
export function statusSignature({ phase, generation, epoch, slots, gateway, refused, handovers }: Heartbeat): string {
  const moves = handovers.map(({ migration, role, state }) => [migration, role, state]);
  return JSON.stringify([phase, generation, epoch, slots, gateway.state, refused, moves]);
}

function replicaStatus(heartbeat: Heartbeat, load: number | undefined): ReplicaStatus {
  const { gateway, refused, handovers, slots } = heartbeat;
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
    handovers: handovers.map(({ migration, role, state, objects, acknowledgedAt, error }) => ({
      migration,
      role,
      state,
      objects,
      ...(acknowledgedAt === undefined ? {} : { acknowledgedAt: time(acknowledgedAt) }),
      ...(error === undefined ? {} : { error }),
    })),
  };
}

const time = (ms: number): string => new Date(ms).toISOString();
