import type { ShardConfigSpec } from '@shard-controller/shared/api';
import { parseGoDuration } from '@shard-controller/shared/runtime';
import { defaultSettings, type Settings } from '../aggregate/index.ts';

/** Heartbeats come every second: who calls a shorter silence a sign has shards that come and go for ever, ms. */
const LEAST_INTERVAL_MS = 1_500;

/** What a spec says about decisions, durations in whole ms. Everything else in it is about the workers' pods. */
export function settingsOf(spec: ShardConfigSpec): Settings {
  const { scaling, handover } = spec;
  return {
    mode: spec.mode,
    ...(spec.shards === undefined ? {} : { shards: spec.shards }),
    minShards: spec.minShards,
    maxShards: spec.maxShards,
    replicasPerShard: spec.replicasPerShard,
    slotCount: spec.slots,
    shardBy: spec.shardBy,
    strategy: spec.loadBalanceStrategy,
    scaleUpThreshold: spec.scaleUpThreshold,
    scaleDownThreshold: spec.scaleDownThreshold,
    capacity: { objects: spec.capacity.objects },
    scaling: {
      sustainedMs: ms(scaling.sustainedPeriod),
      scaleUpCooldownMs: ms(scaling.scaleUpCooldown),
      scaleDownCooldownMs: ms(scaling.scaleDownCooldown),
      maxStep: scaling.stepLimit,
    },
    rebalance: defaultSettings.rebalance,
    handover: {
      scraperTtlMs: ms(handover.scraperTTL),
      maxOverlapMs: ms(handover.maxOverlap),
      preparationTimeoutMs: ms(handover.preparationTimeout),
      transferTimeoutMs: ms(handover.transferTimeout),
      verificationTimeoutMs: ms(handover.verificationTimeout),
    },
    rollout: defaultSettings.rollout,
    health: { intervalMs: Math.max(LEAST_INTERVAL_MS, ms(spec.healthCheckInterval)) },
    failover: defaultSettings.failover,
  };
}

const ms = (duration: string): number => Math.round(parseGoDuration(duration));
