import type { KsmSharding } from '@shard-controller/shared/api';

/** How many pods evictions must leave. */

/**
 * Most shards that may be away: what was asked for, at least one where nothing was, and always all but one.
 *
 * @param maxUnavailable undefined: nothing said; 0: no eviction at all
 */
export function allowedUnavailability(maxUnavailable: number | undefined, totalShards: number): number {
  if (maxUnavailable === 0) return 0;
  return Math.max(1, Math.min(maxUnavailable ?? 1, totalShards - 1));
}

/** `minAvailable` of the PodDisruptionBudget: an integer, the only form for pods without a known controller. */
export function minAvailable(sharding: KsmSharding, totalShards: number, pods: number): number {
  const maxUnavailable = sharding.distribution?.maxUnavailable;
  if (maxUnavailable === undefined && sharding.advanced !== undefined) {
    return Math.min(sharding.advanced.minAvailable, pods);
  }
  return Math.max(0, pods - allowedUnavailability(maxUnavailable, totalShards));
}

/** `distribution`, or where it says nothing the older `advanced`, or the defaults. */
export function distributionOf({ distribution, advanced }: KsmSharding): {
  readonly spreadAcrossNodes: boolean;
  readonly spreadAcrossZones: boolean;
  readonly enablePDB: boolean;
} {
  return {
    spreadAcrossNodes: distribution?.spreadAcrossNodes ?? advanced?.spreadAcrossNodes ?? true,
    spreadAcrossZones: distribution?.spreadAcrossZones ?? true,
    enablePDB: distribution?.enablePDB ?? advanced?.enablePDB ?? true,
  };
}
