import { z } from 'zod';
import { count, duration, labels, quantity } from './fields.ts';

/** The nested parts of a ShardConfig's spec; the exporter's is in `exporter-section.ts`. */

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** What load 1.0 means. Scaling goes by objects; the load that a worker reports is the largest of all ratios. */
export const capacity = () =>
  z.object({
    objects: z.int().min(1).max(100_000_000).default(50_000).describe('Objects that a shard exports at load 1.0.'),
    expositionBytes: quantity()
      .optional()
      .describe("Size of a shard's /metrics answer at load 1.0, like 64Mi. Only in the load of ShardInstances."),
    memory: quantity()
      .optional()
      .describe(
        'Resident memory of worker and exporter together at load 1.0, like 400Mi. Only in the load of ShardInstances.',
      ),
    scrapeDuration: duration(10, 10 * MINUTE)
      .optional()
      .describe('Time the exporter takes for one scrape at load 1.0. Only in the load of ShardInstances.'),
    queueDepth: z
      .int()
      .min(1)
      .max(100_000_000)
      .optional()
      .describe('Events waiting for the exporter of a shard at load 1.0. Only in the load of ShardInstances.'),
  });

const customMetric = () =>
  z.object({
    name: z
      .string()
      .min(1)
      .max(200)
      .regex(/^[a-zA-Z_:][a-zA-Z0-9_:]*$/)
      .describe("Name of a series in the exporter's own telemetry."),
    matchLabels: labels().optional().describe('Only series with these labels count; their values are summed.'),
    targetPerShard: z.number().gt(0).max(1e15).describe('Value per shard above which one more shard is needed.'),
  });

export const scaling = () =>
  z.object({
    sustainedPeriod: duration(SECOND, 24 * HOUR)
      .default('30s')
      .describe('Time that the load must stay above scaleUpThreshold before shards are added.'),
    scaleUpCooldown: duration(0, 24 * HOUR)
      .default('1m')
      .describe('Time after any scaling operation before shards are added again.'),
    scaleDownCooldown: duration(0, 24 * HOUR)
      .default('5m')
      .describe(
        'Time that the load must stay below scaleDownThreshold, and time after any scaling operation, before shards are removed.',
      ),
    stepLimit: z
      .int()
      .min(1)
      .max(1000)
      .default(2)
      .describe('Maximum number of shards that one operation adds or removes.'),
    queueDepth: z
      .int()
      .min(1)
      .max(100_000_000)
      .optional()
      .describe('Not used yet. Events waiting for the exporter of one shard above which a shard is added.'),
    customMetrics: z
      .array(customMetric())
      .max(16)
      .optional()
      .meta({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['name'] })
      .describe('Not used yet. Series that request shards: requested shards = value / targetPerShard, rounded up.'),
  });

export const rebalance = () =>
  z.object({
    tolerance: z
      .number()
      .min(0)
      .max(1)
      .default(0.1)
      .describe(
        "Not used yet. least-loaded only: a shard's share of the cost may differ from the mean by this fraction.",
      ),
    moveBudget: z
      .int()
      .min(1)
      .max(4096)
      .default(64)
      .describe('Not used yet. Maximum number of slots that one rebalancing moves.'),
    interval: duration(SECOND, 24 * HOUR)
      .default('1m')
      .describe('Not used yet. Minimum interval between two rebalancings.'),
  });

export const handover = () =>
  z.object({
    scraperTTL: duration(SECOND, 24 * HOUR)
      .default('5m')
      .describe(
        'A slot move waits for a scraper of the old worker until it has read the new one, has been silent for this long, or has missed three of its usual intervals.',
      ),
    maxOverlap: duration(SECOND, 24 * HOUR)
      .default('2m')
      .describe('Maximum time that two shards expose a slot while they wait for scrapers.'),
    preparationTimeout: duration(SECOND, HOUR)
      .default('1m')
      .describe('Time within which the target must begin to load the moving slots.'),
    transferTimeout: duration(SECOND, HOUR)
      .default('2m')
      .describe('Time within which the target must load and expose the moving slots.'),
    verificationTimeout: duration(SECOND, HOUR)
      .default('30s')
      .describe('Time within which source and target must prove that they hold the same objects.'),
    releaseTimeout: duration(SECOND, HOUR)
      .default('1m')
      .describe(
        'Not used yet; transferTimeout applies instead. Time within which the source must stop exposing the moved slots before the delay is reported.',
      ),
  });

export const distribution = () =>
  z.object({
    spreadAcrossZones: z.boolean().default(true).describe('Prefer to put worker pods into different zones.'),
    spreadAcrossNodes: z.boolean().default(true).describe('Prefer to put worker pods on different nodes.'),
    enablePDB: z.boolean().default(true).describe('Maintain a PodDisruptionBudget for the worker pods.'),
    maxUnavailable: z
      .int()
      .min(1)
      .max(1000)
      .default(1)
      .describe('Maximum number of worker pods that evictions may take at once.'),
  });

export const coverage = () =>
  z.object({
    configuredShards: count().describe('Shards that should serve.'),
    activeShards: count().describe('Shards that are healthy, or silent only for a moment.'),
    coveragePercent: z.number().min(0).max(100),
    missingShards: z
      .array(z.string().max(20))
      .max(1000)
      .describe('Shards that are neither healthy nor silent only for a moment.'),
    warning: z.string().max(1024).optional(),
  });

export const decision = () =>
  z.object({
    action: z.string().min(1).max(63).describe('Type of the event that holds the decision, like shard.scaled.v1.'),
    reason: z.string().min(1).max(128).describe('Type of the decision as one word, like Scaled.'),
    message: z.string().max(1024).describe('Reason of the decision, as a sentence with the figures behind it.'),
    time: z.iso.datetime({ offset: true }),
    epoch: count().optional().describe('Sequence of the newest event in the log.'),
  });
