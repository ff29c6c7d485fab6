import type { V1OwnerReference } from '@kubernetes/client-node';
import { GROUP, VERSION } from '@shard-controller/shared/api';

/** The ShardConfig that an object belongs to. */
export interface ConfigIdentity {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
}

/** Everything made for a ShardConfig goes with it. */
export function ownerReference(config: ConfigIdentity): V1OwnerReference {
  return {
    apiVersion: `${GROUP}/${VERSION}`,
    kind: 'ShardConfig',
    name: config.name,
    uid: config.uid,
    controller: true,
    blockOwnerDeletion: true,
  };
}
