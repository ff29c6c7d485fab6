import { type HashRange, rangesToSlots } from '@shard-controller/shared/hashing';
import { z } from 'zod';
import { CliError, EXIT } from './errors.ts';
import type { Kubectl } from './kubectl.ts';

/**
 * What the API server says of a fleet. Only what is shown is read, and nothing is refused for what is unknown: the
 * cluster may run another version.
 */

const conditionSchema = z.looseObject({
  type: z.string(),
  status: z.string(),
  reason: z.string().default(''),
  message: z.string().default(''),
  lastTransitionTime: z.string().optional(),
});

const configSchema = z.looseObject({
  metadata: z.looseObject({
    name: z.string(),
    namespace: z.string(),
    uid: z.string(),
    generation: z.number().default(0),
    creationTimestamp: z.string().optional(),
  }),
  spec: z
    .looseObject({
      mode: z.string().default('Auto'),
      minShards: z.number().optional(),
      maxShards: z.number().optional(),
      shards: z.number().optional(),
      slots: z.number().default(256),
      shardBy: z.enum(['uid', 'namespace']).default('uid'),
      replicasPerShard: z.number().default(1),
      loadBalanceStrategy: z.string().optional(),
    })
    .prefault({}),
  status: z
    .looseObject({
      observedGeneration: z.number().optional(),
      conditions: z.array(conditionSchema).default([]),
      shards: z.number().default(0),
      readyShards: z.number().default(0),
      desiredShards: z.number().default(0),
      updatedShards: z.number().default(0),
      load: z.number().optional(),
      openMigrations: z.number().default(0),
      lastDecision: z.looseObject({ message: z.string().default(''), time: z.string().default('') }).optional(),
    })
    .prefault({}),
});

const range = z.looseObject({ start: z.number(), end: z.number() });

/** `pods: 1234` for each kind, to the number by kind. */
const objectsByKind = z
  .array(z.string())
  .default([])
  .transform((lines) =>
    Object.fromEntries(
      lines.map((line): [string, number] => {
        const colon = line.lastIndexOf(':');
        return [line.slice(0, colon), Number(line.slice(colon + 1))];
      }),
    ),
  );

const replicaSchema = z.looseObject({
  replica: z.enum(['a', 'b']),
  pod: z.string().default(''),
  node: z.string().default(''),
  phase: z.string().default(''),
  load: z.number().optional(),
  lastHeartbeat: z.string().optional(),
  gateway: z.string().optional(),
  refused: z.string().optional(),
  unavailable: z.array(z.looseObject({ kind: z.string(), message: z.string().default('') })).default([]),
});

const instanceSchema = z.looseObject({
  metadata: z.looseObject({ name: z.string(), namespace: z.string() }),
  spec: z.looseObject({
    shardConfigRef: z.looseObject({ name: z.string(), uid: z.string() }),
    shardId: z.string(),
    slotCount: z.number().default(256),
    hashRanges: z.array(range).default([]),
    warmRanges: z.array(range).default([]),
    releaseRanges: z.array(range).default([]),
    activeReplica: z.enum(['a', 'b']).default('a'),
  }),
  status: z
    .looseObject({
      phase: z.string().default(''),
      load: z.number().optional(),
      assignedResources: objectsByKind,
      replicas: z.array(replicaSchema).default([]),
    })
    .prefault({}),
});

export type ConfigSeen = z.infer<typeof configSchema>;
type InstanceSeen = z.infer<typeof instanceSchema>;
type ReplicaSeen = z.infer<typeof replicaSchema>;

/** A ShardConfig with its shards, by shard id. */
export interface Fleet {
  readonly config: ConfigSeen;
  readonly shards: readonly ShardSeen[];
}

export interface ShardSeen {
  readonly shardId: string;
  readonly slots: readonly number[];
  readonly arriving: number;
  readonly leaving: number;
  readonly phase: string;
  readonly load: number | undefined;
  readonly objects: number;
  readonly kinds: Readonly<Record<string, number>>;
  readonly active: 'a' | 'b';
  readonly replicas: readonly ReplicaSeen[];
}

const listOf = <T extends z.ZodType>(item: T) => z.looseObject({ items: z.array(item) });
const sum = (numbers: readonly number[]): number => numbers.reduce((total, each) => total + each, 0);

/** @throws CliError when the cluster cannot be asked, or has no ShardConfig (of that name) */
export async function readFleets(
  kubectl: Kubectl,
  { name, allNamespaces }: { readonly name?: string | undefined; readonly allNamespaces?: boolean | undefined },
): Promise<readonly Fleet[]> {
  const where = allNamespaces === true ? ['--all-namespaces'] : [];
  const [configs, instances] = await Promise.all([
    kubectl.json(['get', 'shardconfigs.shard.io', ...where]),
    kubectl.json(['get', 'shardinstances.shard.io', ...where]),
  ]);
  const all = listOf(configSchema).parse(configs).items;
  const found = all.filter(({ metadata }) => name === undefined || metadata.name === name);
  if (found.length === 0) throw new CliError(EXIT.no, noneFound(name, all));
  const shards = listOf(instanceSchema).parse(instances).items;
  return found.map((config) => ({
    config,
    shards: shards.filter(({ spec }) => spec.shardConfigRef.uid === config.metadata.uid).map(shardSeen),
  }));
}

function noneFound(name: string | undefined, all: readonly ConfigSeen[]): string {
  const elsewhere = 'choose a namespace with -n, or all with -A';
  if (name === undefined) return `there is no ShardConfig in this namespace; ${elsewhere}`;
  const names = all.map(({ metadata }) => metadata.name).join(', ');
  return `there is no ShardConfig ${name}${names === '' ? '' : `; there are: ${names}`}; ${elsewhere}`;
}

function shardSeen({ spec, status }: InstanceSeen): ShardSeen {
  const slots = (ranges: readonly HashRange[]): readonly number[] => rangesToSlots(ranges, spec.slotCount);
  return {
    shardId: spec.shardId,
    slots: slots(spec.hashRanges),
    arriving: slots(spec.warmRanges).length,
    leaving: slots(spec.releaseRanges).length,
    phase: status.phase,
    load: status.load,
    objects: sum(Object.values(status.assignedResources)),
    kinds: status.assignedResources,
    active: spec.activeReplica,
    replicas: status.replicas,
  };
}
