import type { Values } from '../chart/render.ts';
import { MANAGER_IMAGE, WORKER_IMAGE } from '../cluster/process-node/images.ts';
import type { ResourceGroup } from './rights.ts';

/** So the accounts are called shard-controller-manager and shard-controller-worker. */
export const RELEASE = 'shard-controller';

const READ = ['get', 'list', 'watch'];

/** Custom-resource-state finds its kinds by reading all definitions. */
const DEFINITIONS: ResourceGroup = { group: 'apiextensions.k8s.io', resources: ['customresourcedefinitions'] };

/** Secrets by which managers and workers reach the NATS of a cluster of process nodes. */
export const NATS_MANAGER_SECRET = 'nats-manager';
export const NATS_CA_SECRET = 'nats-ca';

/** Values for a cluster of process nodes: its own NATS, images that its nodes know, and no ShardConfig yet. */
export function chartValues(options: {
  readonly natsUrl: string;
  readonly customResources?: readonly ResourceGroup[] | undefined;
  /** Whether managers run KSMScales, too. */
  readonly ksmScale?: boolean | undefined;
}): Values {
  const extraRules = [DEFINITIONS, ...(options.customResources ?? [])].map(({ group, resources }) => ({
    apiGroups: [group],
    resources,
    verbs: READ,
  }));
  return {
    nats: { enabled: false },
    externalNats: {
      url: options.natsUrl,
      auth: { kind: 'service-account', managerSecret: NATS_MANAGER_SECRET },
      tls: { caSecret: NATS_CA_SECRET },
    },
    manager: { image: { registry: '', repository: MANAGER_IMAGE } },
    worker: { image: { registry: '', repository: WORKER_IMAGE } },
    shardConfig: { create: false },
    rbac: { extraRules },
    ksmScale: { enabled: options.ksmScale ?? false },
  };
}
