import type { V1EnvVar } from '@kubernetes/client-node';
import { readCustomResourceState, type ShardConfigSpec } from '@shard-controller/shared/api';

type Exporter = ShardConfigSpec['exporter'];

/** By the section of a spec, which is read-only: a long text takes 100 ms to read, and pods are checked often. */
const known = new WeakMap<Exporter, string | undefined>();

/**
 * Tells a worker which custom resources its exporter shows, as `Kind.group` or `*.group`, so that it keeps the changes
 * of all other CustomResourceDefinitions from it: on any of them kube-state-metrics would rebuild every store.
 */
export function customResourcesEnv(exporter: Exporter): V1EnvVar[] {
  if (!known.has(exporter)) known.set(exporter, customResources(exporter));
  const value = known.get(exporter);
  return value === undefined ? [] : [{ name: 'CUSTOM_RESOURCES', value }];
}

function customResources({ customResourceState }: Exporter): string | undefined {
  if (customResourceState === undefined) return undefined;
  const read = readCustomResourceState(customResourceState);
  // A checked spec has no unreadable text; without the variable a worker keeps back every definition's changes.
  if (!read.ok || read.kinds.length === 0) return undefined;
  return read.kinds.map(({ kind, group }) => `${kind}.${group}`).join(',');
}
