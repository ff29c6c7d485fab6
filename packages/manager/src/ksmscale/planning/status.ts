import {
  type Condition,
  type KsmScaleStatus,
  type KsmShardingStatus,
  MAX_STATUS_ITEMS,
} from '@shard-controller/shared/api';
import { numberLabel, scaleSelector, SHARD_LABEL, TOTAL_LABEL } from './labels.ts';
import type { Layout } from './layout.ts';
import { isServing, type ObservedPod } from './observation.ts';
import { isServed, type OccupiedPlace } from './pod-plan.ts';
import { coveragePercent, type Efficiency, oneDecimal } from './shard-recommendation.ts';

/** What a KSMScale says of itself. */

export interface StatusInput {
  readonly name: string;
  readonly generation: number | undefined;
  readonly nodes: number;
  readonly layout: Layout;
  readonly minCoverage: number;
  /** Seen at the start of the pass; neither terminating nor finished. */
  readonly livePods: readonly ObservedPod[];
  readonly places: readonly OccupiedPlace[];
  readonly efficiency: Efficiency | undefined;
  /** What went wrong in this pass, each as a sentence. */
  readonly errors: readonly string[];
  readonly previous: KsmScaleStatus | undefined;
  /** ISO 8601. */
  readonly now: string;
}

export function statusOf(input: StatusInput): KsmScaleStatus {
  const { generation, nodes, layout, livePods, now } = input;
  const sharding =
    layout.mode === undefined ? undefined : shardingStatusOf(input, layout.mode, layout.totalShards ?? 0);
  return {
    ...(generation === undefined ? {} : { observedGeneration: generation }),
    conditions: conditionsOf(input, sharding),
    nodeCount: nodes,
    desiredReplicas: layout.desiredPods,
    currentReplicas: livePods.length,
    phase: phaseOf(input, sharding),
    lastUpdated: now,
    selector: Object.entries(scaleSelector(input.name))
      .map(([key, value]) => `${key}=${value}`)
      .join(','),
    ...(sharding === undefined ? {} : { shardingStatus: sharding }),
  };
}

/** Incomplete before Scaling before Ready. */
function phaseOf(input: StatusInput, sharding: KsmShardingStatus | undefined): KsmScaleStatus['phase'] {
  if (sharding !== undefined && unserved(input, sharding).length > 0) return 'Incomplete';
  return input.livePods.length === input.layout.desiredPods ? 'Ready' : 'Scaling';
}

/** Missing shards that nobody has accepted. */
function unserved({ layout, minCoverage }: StatusInput, sharding: KsmShardingStatus): readonly number[] {
  const wanted = sharding.missingShards.filter((shard) => shard < layout.servedShards);
  return sharding.coveragePercent < minCoverage ? sharding.missingShards : wanted;
}

function shardingStatusOf(
  { livePods, layout, efficiency, now }: StatusInput,
  mode: string,
  totalShards: number,
): KsmShardingStatus {
  const shown = Array.from({ length: Math.min(totalShards, MAX_STATUS_ITEMS) }, (_, shard) => shard);
  const ofTotal = livePods.filter((pod) => pod.labels[TOTAL_LABEL] === String(totalShards));
  const byShard = Map.groupBy(ofTotal, (pod) => numberLabel(pod.labels, SHARD_LABEL));
  const podsOf = (shard: number): readonly ObservedPod[] => byShard.get(shard) ?? [];
  const missing = shown.filter((shard) => !podsOf(shard).some(isServing));
  const active = totalShards - missing.length;
  const percent = coveragePercent(active, totalShards);
  return {
    mode,
    totalShards,
    activeShards: active,
    configuredShards: totalShards,
    coveragePercent: percent,
    missingShards: missing,
    shardDistribution: Object.fromEntries(
      shown.map((shard) => {
        const pods = podsOf(shard);
        const names = pods.map(({ name }) => name).toSorted(byNumber);
        return [String(shard), { replicas: pods.length, pods: names, ready: pods.filter(isServing).length }];
      }),
    ),
    shardHealth: shown
      .flatMap((shard) =>
        podsOf(shard).map((pod) => ({ shardId: shard, podName: pod.name, ready: isServing(pod), lastSeen: now })),
      )
      .slice(0, MAX_STATUS_ITEMS),
    warning: [efficiency !== undefined && 'warning' in efficiency ? efficiency.warning : '', partialWarning(layout)]
      .filter((text) => text !== '')
      .join(' '),
  };
}

/** Accepted gaps are told of all the same. */
function partialWarning({ mode, totalShards = 0, servedShards }: Layout): string {
  if (mode !== 'Partial' || servedShards === totalShards) return '';
  const left = totalShards - servedShards;
  return `Partial coverage accepted: ${left} of ${totalShards} shards have no pod, their objects have no metrics.`;
}

const collator = new Intl.Collator('en', { numeric: true });
const byNumber = (a: string, b: string): number => collator.compare(a, b);

type Finding = Pick<Condition, 'type' | 'status' | 'reason' | 'message'>;

function conditionsOf(input: StatusInput, sharding: KsmShardingStatus | undefined): Condition[] {
  const findings: readonly Finding[] = [
    ready(input, sharding),
    progressing(input),
    degraded(input.errors),
    ...(sharding === undefined ? [] : [covered(input, sharding), efficient(input)]),
  ];
  return findings.map((finding) => {
    const before = input.previous?.conditions?.find(({ type }) => type === finding.type);
    const lastTransitionTime = before?.status === finding.status ? before.lastTransitionTime : input.now;
    const observedGeneration = input.generation === undefined ? {} : { observedGeneration: input.generation };
    return { ...finding, message: finding.message.slice(0, 4096), lastTransitionTime, ...observedGeneration };
  });
}

function ready({ layout, places }: StatusInput, sharding: KsmShardingStatus | undefined): Finding {
  const type = 'Ready';
  const serving = places.filter(({ now }) => isServed(now)).length;
  const figures = `${serving} of ${layout.desiredPods} pods are Ready`;
  if (serving === layout.desiredPods) return { type, status: 'True', reason: 'PodsReady', message: `${figures}.` };
  const problem = places.map(problemOf).find((text) => text !== undefined);
  const message = problem === undefined ? `${figures}.` : `${figures}; ${problem}`;
  const missing = sharding?.missingShards.some((shard) => shard < layout.servedShards) === true;
  return { type, status: 'False', reason: missing ? 'ShardsMissing' : 'PodsNotReady', message };
}

function problemOf({ place, now }: OccupiedPlace): string | undefined {
  if (now.state === 'Blocked') {
    return `${place.name} belongs to another owner: delete that pod, or rename the KSMScale.`;
  }
  if (now.state === 'Leaving') return `${place.name} is still ending.`;
  const waits = now.state === 'Starting' || (now.state === 'Outdated' && !now.serving);
  return waits && now.pod.problem !== undefined ? `${place.name}: ${now.pod.problem}` : undefined;
}

function progressing({ layout, livePods, places }: StatusInput): Finding {
  const type = 'Progressing';
  const outdated = places.filter(({ now }) => now.state === 'Outdated').length;
  if (livePods.length !== layout.desiredPods) {
    const message = `${livePods.length} pods run, ${layout.desiredPods} are wanted.`;
    return { type, status: 'True', reason: 'Scaling', message };
  }
  if (outdated > 0) {
    const message = `${outdated} of ${places.length} pods are still to be replaced, one at a time.`;
    return { type, status: 'True', reason: 'Replacing', message };
  }
  return { type, status: 'False', reason: 'AtTarget', message: `${layout.desiredPods} pods run.` };
}

const degraded = (errors: readonly string[]): Finding =>
  errors.length === 0
    ? { type: 'Degraded', status: 'False', reason: 'NoErrors', message: 'The last pass had no errors.' }
    : { type: 'Degraded', status: 'True', reason: 'RequestsFailed', message: errors.join(' | ') };

function covered(input: StatusInput, sharding: KsmShardingStatus): Finding {
  const type = 'Covered';
  const { activeShards, totalShards, missingShards } = sharding;
  const figures = `${activeShards} of ${totalShards} shards have a Ready pod`;
  if (missingShards.length === 0) return { type, status: 'True', reason: 'AllShards', message: `${figures}.` };
  const accepted = unserved(input, sharding).length === 0;
  const message = `${figures}; without: ${missingShards.join(', ')}.`;
  return { type, status: 'False', reason: accepted ? 'PartialCoverageAccepted' : 'ShardsMissing', message };
}

function efficient({ efficiency, layout, nodes }: StatusInput): Finding {
  const type = 'Efficient';
  if (efficiency !== undefined && 'warning' in efficiency) {
    return { type, status: 'False', reason: efficiency.kind, message: efficiency.warning };
  }
  const shards = layout.totalShards ?? 1;
  const message = `${shards} shards for ${nodes} nodes (${oneDecimal(nodes, shards)} nodes/shard).`;
  return { type, status: 'True', reason: 'Fits', message };
}
