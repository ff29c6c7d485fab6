import { fnv1a64, slotOf } from '@shard-controller/shared/hashing';
import { z } from 'zod';
import type { Fleet } from '../cluster.ts';
import { CliError, EXIT } from '../errors.ts';
import type { Kubectl } from '../kubectl.ts';
import { age, type Output, yellow } from '../screen/index.ts';

/** An object whose place is asked for. */
export interface ObjectAsked {
  /** `Pod prod/web-1`. */
  readonly name: string;
  readonly uid: string;
  /** '' for a cluster-scoped object. */
  readonly namespace: string;
}

/** Where one fleet has an object. */
export interface Place {
  readonly namespace: string;
  readonly config: string;
  readonly object: string;
  readonly slot: number;
  readonly shard: string | null;
  readonly pod: string | null;
  /** ms since the epoch; absent where no manager says so. */
  readonly since?: number | undefined;
  readonly why?: string | undefined;
  readonly movesTo?: string | undefined;
}

const objectSchema = z.looseObject({
  kind: z.string(),
  metadata: z.looseObject({ name: z.string(), uid: z.string(), namespace: z.string().default('') }),
});

/** Reads the object that `pod/web-1` names. @throws CliError */
export async function findObject(kubectl: Kubectl, reference: string): Promise<ObjectAsked> {
  const found = await kubectl.find(['get', reference]);
  if (found === undefined)
    throw new CliError(EXIT.no, `${reference} does not exist in this namespace; choose it with -n`);
  const parsed = objectSchema.safeParse(found);
  if (!parsed.success) throw new CliError(EXIT.usage, `${reference}: name one object, like pod/web-1`);
  const { kind, metadata } = parsed.data;
  const name = metadata.namespace === '' ? metadata.name : `${metadata.namespace}/${metadata.name}`;
  return { name: `${kind} ${name}`, uid: metadata.uid, namespace: metadata.namespace };
}

/** The slot of an object in a fleet; the same hash as that of the workers. */
export function slotIn({ config: { spec } }: Fleet, object: Pick<ObjectAsked, 'uid' | 'namespace'>): number {
  return slotOf(fnv1a64(spec.shardBy === 'uid' ? object.uid : object.namespace).high, spec.slots);
}

/** Where an object is by the API server alone: since when and why is known to a manager only. */
export function placeOf(fleet: Fleet, object: string, slot: number): Place {
  const { metadata } = fleet.config;
  const owner = fleet.shards.find(({ slots }) => slots.includes(slot));
  return {
    namespace: metadata.namespace,
    config: metadata.name,
    object,
    slot,
    shard: owner?.shardId ?? null,
    pod: owner?.replicas.find(({ replica }) => replica === owner.active)?.pod ?? null,
  };
}

export function drawPlaces(output: Output, places: readonly Place[], now: number): string {
  return places
    .map(({ namespace, config, object, slot, shard, pod, since, why, movesTo }) => {
      const owner =
        shard === null ? yellow(output, 'no shard') : `${shard}${pod === null || pod === '' ? '' : ` (pod ${pod})`}`;
      return [
        `${object} in ${namespace}/${config}: ${owner}, slot ${slot}`,
        ...(since === undefined ? [] : [`  since ${age(now - since)} ago`]),
        ...(why === undefined ? [] : [`  because of ${why}`]),
        ...(movesTo === undefined ? [] : [`  ${yellow(output, 'moving')} to ${movesTo}`]),
      ].join('\n');
    })
    .join('\n');
}
