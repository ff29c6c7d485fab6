import type { ShardConfigState } from './state.ts';

export type ConditionType = 'Ready' | 'Progressing' | 'Degraded' | 'ScalingLimited';

/** A Kubernetes condition without times: the writer keeps `lastTransitionTime` while `status` stays. */
export interface DesiredCondition {
  readonly type: ConditionType;
  readonly status: 'True' | 'False' | 'Unknown';
  /** CamelCase. */
  readonly reason: string;
  readonly message: string;
}

/** Something that could happen but is held back, and why. */
export interface Hold {
  readonly what: 'scale-up' | 'scale-down' | 'scale' | 'rebalance' | 'rollout' | 'failover' | 'start';
  readonly reason: string;
}

/** ShardConfig.status as decisions see it; the writer adds `selector` and times. */
export interface DesiredStatus {
  readonly observedGeneration: number;
  /** Shards that exist (seed and scale subresource: `status.shards`). */
  readonly shards: number;
  readonly readyShards: number;
  readonly desiredShards: number;
  /** Mean load over the shards with known figures; undefined while none is known. */
  readonly load: number | undefined;
  /** Sequence of the last event. */
  readonly epoch: number;
  readonly coverage: {
    readonly configuredShards: number;
    readonly activeShards: number;
    /** Share of slots whose shard is able to serve, 0 to 100. */
    readonly coveragePercent: number;
    readonly missingShards: readonly string[];
    readonly warning: string;
  };
  readonly lastDecision: { readonly type: string; readonly at: number; readonly reason: string } | undefined;
  readonly conditions: readonly DesiredCondition[];
  readonly holds: readonly Hold[];
}

export type DescribeStatus = (
  state: ShardConfigState,
  figures: { readonly now: number; readonly objects: Readonly<Record<string, number>> },
) => DesiredStatus;
