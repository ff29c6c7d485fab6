import { GROUP, SHARD_CONFIG_KIND } from '@shard-controller/shared/api';
import { z } from 'zod';
import { type ConfigIdentity, configLabels } from '../naming/index.ts';

/**
 * Decides who owns an object that has the name of an object which a ShardConfig needs.
 * - ours: owned by this ShardConfig.
 * - orphan: made for a ShardConfig of this name and left without an owner (`--cascade=orphan`); may be taken over.
 * - predecessor: owned by a ShardConfig of this name that was deleted; the garbage collector takes it.
 * - foreign: it has another owner; never touched.
 */
export type Belonging = 'ours' | 'orphan' | 'predecessor' | 'foreign';

const ownersSchema = z
  .array(z.looseObject({ apiVersion: z.string(), kind: z.string(), name: z.string(), uid: z.string() }))
  .optional()
  .catch(undefined);

/** How an object is called in messages. */
interface NamedObject {
  readonly kind?: string;
  readonly metadata?: { readonly name?: string };
}

/** What is read of an object's metadata. */
interface Belongings {
  readonly labels?: Readonly<Record<string, string>> | undefined;
  readonly ownerReferences?: unknown;
}

export function belonging(metadata: Belongings | undefined, config: ConfigIdentity): Belonging {
  const owners = ownersSchema.parse(metadata?.ownerReferences) ?? [];
  if (owners.some(({ uid }) => uid === config.uid)) return 'ours';
  const { labels = {} } = metadata ?? {};
  const isLabelled = Object.entries(configLabels(config.name)).every(([key, value]) => labels[key] === value);
  if (!isLabelled) return 'foreign';
  if (owners.length === 0) return 'orphan';
  const isPredecessor = owners.some(
    ({ apiVersion, kind, name }) =>
      apiVersion.startsWith(`${GROUP}/`) && kind === SHARD_CONFIG_KIND && name === config.name,
  );
  return isPredecessor ? 'predecessor' : 'foreign';
}

/** @throws ForeignObjectError, PredecessorObjectError where the object that stands there is not the ShardConfig's own */
export function assertOwn(object: NamedObject, present: Belongings | undefined, config: ConfigIdentity): void {
  const whose = belonging(present, config);
  if (whose === 'foreign') throw new ForeignObjectError(object, config);
  if (whose === 'predecessor') throw new PredecessorObjectError(object, config);
}

/**
 * An object of another owner has a name that this ShardConfig needs; it is left as it is.
 * @remedy delete or rename the object, or give the ShardConfig another name.
 */
export class ForeignObjectError extends Error {
  override readonly name = 'ForeignObjectError';
  readonly code = 'SC_FOREIGN_OBJECT';

  constructor(object: NamedObject, { namespace, name }: ConfigIdentity) {
    super(
      `${object.kind} ${namespace}/${object.metadata?.name} exists and does not belong to ShardConfig ${name}, which needs ` +
        `one of that name; it is left unchanged. Remedy: delete or rename it, or give the ShardConfig another name`,
    );
  }
}

/**
 * An object that an earlier ShardConfig of the same name has left still has its name.
 * @remedy none: the garbage collector removes it. If it stays, look for finalizers on it.
 */
class PredecessorObjectError extends Error {
  override readonly name = 'PredecessorObjectError';
  readonly code = 'SC_PREDECESSOR_OBJECT';

  constructor(object: NamedObject, { namespace, name }: ConfigIdentity) {
    super(
      `${object.kind} ${namespace}/${object.metadata?.name} belongs to an earlier ShardConfig ${name}; waiting until the ` +
        `garbage collector has removed it. If it stays, check its finalizers`,
    );
  }
}
