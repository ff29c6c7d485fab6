import type { Replica, WorkerAddress, ShardId } from '@shard-controller/shared/contracts';

/** Who this worker is; all of it follows from the pod. */
export interface WorkerIdentity extends WorkerAddress {
  /** uid of the ShardConfig. */
  readonly uid: string;
  readonly pod: string;
  readonly node: string;
  /** Revision of the pod template, label `shard.io/revision`. */
  readonly revision: string;
  /** Random per process start. */
  readonly boot: string;
  /** Name of the own ShardInstance. */
  readonly shardInstance: string;
}

/** `<config>-(a|b|s)-<ordinal>`: the pod of a worker StatefulSet; s is the surge worker's, a shard without a standby. */
const POD_NAME = /^(?<config>[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)-(?<replica>[abs])-(?<ordinal>0|[1-9][0-9]{0,4})$/;

/** Shard and replica that a pod name stands for, or undefined when no worker StatefulSet makes such a name. */
export function parsePodName(
  pod: string,
): { readonly config: string; readonly replica: Replica; readonly shardId: ShardId } | undefined {
  const found = POD_NAME.exec(pod)?.groups;
  if (found === undefined) return undefined;
  const { config = '', replica, ordinal = '' } = found;
  return { config, replica: replica === 'b' ? 'b' : 'a', shardId: `shard-${ordinal.padStart(3, '0')}` };
}
