import { rebalancingBlock } from '../load-balancer/index.ts';
import { loadScalingBlock, meanLoad, outdatedShards, rolloutBlock } from '../orchestrator/index.ts';
import type { CommandContext } from './commands.ts';
import type { LastDecision, ShardConfigState, ShardState } from './state.ts';
import {
  awaitedShards,
  isLoaded,
  isWanted,
  openMigrations,
  pausedPairs,
  regularShards,
  shardsOf,
  type View,
} from './view.ts';

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
  readonly what: 'scaling' | 'rebalancing' | 'rollout' | 'failover' | 'start';
  readonly reason: string;
}

/** ShardConfig.status as far as the decisions know it; the writer adds `selector` and times. */
export interface DesiredStatus {
  readonly observedGeneration: number;
  /** Shards that exist, without the surge worker of a rolling update. */
  readonly shards: number;
  /** Wanted shards that are able to serve. */
  readonly readyShards: number;
  readonly desiredShards: number;
  /** Mean load over the shards; undefined while a figure is missing. */
  readonly load: number | undefined;
  /** Sequence of the last event. */
  readonly epoch: number;
  readonly coverage: {
    readonly configuredShards: number;
    readonly activeShards: number;
    /** Share of the configured shards that are active, 0 to 100, one decimal. */
    readonly coveragePercent: number;
    readonly missingShards: readonly string[];
    readonly warning: string;
  };
  readonly lastDecision: LastDecision | undefined;
  readonly conditions: readonly DesiredCondition[];
  readonly holds: readonly Hold[];
}

/** Describes `state` for people. Empty conditions before the first accepted config. */
export function describeStatus(state: ShardConfigState, context: CommandContext): DesiredStatus {
  const { settings } = state;
  const view: View | undefined = settings === null ? undefined : { state, settings, ...context };
  const regular = regularShards(state);
  const seen = { state, ...context };
  const active = regular.filter((shard) => isServing(seen, shard));
  const missing = regular.filter((shard) => !isServing(seen, shard)).map(({ shardId }) => shardId);
  const percent = regular.length === 0 ? 0 : Math.round((1000 * active.length) / regular.length) / 10;
  return {
    observedGeneration: Math.max(state.specGeneration, state.rejected?.specGeneration ?? 0),
    shards: shardsOf(state).filter((shard) => shard.shardId !== state.rollout?.surge).length,
    readyShards: active.length,
    desiredShards: state.desiredShards,
    load: view === undefined ? undefined : meanLoad(view),
    epoch: state.sequence,
    coverage: {
      configuredShards: regular.length,
      activeShards: active.length,
      coveragePercent: percent,
      missingShards: missing,
      warning: missing.length === 0 ? '' : `${missing.join(', ')} not serving`,
    },
    lastDecision: state.lastDecision ?? undefined,
    conditions: view === undefined ? rejectedConditions(state) : conditionsOf(view, holdsOf(view)),
    holds: view === undefined ? [] : holdsOf(view),
  };
}

/** Whether a shard can be scraped for all of its slots. */
const isServing = (view: Pick<View, 'state' | 'progress'>, shard: ShardState): boolean =>
  (shard.health === 'Healthy' || shard.health === 'Suspect') && isLoaded(view, shard);

/** Everything that is wanted but does not happen now. */
export function holdsOf(view: View): readonly Hold[] {
  const { state, settings } = view;
  const holds: Hold[] = [];
  const hold = (what: Hold['what'], reason: string | undefined): void => {
    if (reason !== undefined) holds.push({ what, reason });
  };
  if (state.failover.held !== null) {
    hold('failover', `${state.failover.held.shards.join(', ')}: waiting for capacity, or for the longest wait to end`);
  }
  if (isUnassigned(state)) {
    const awaited = awaitedShards(view).map(({ shardId }) => shardId);
    hold('start', awaited.length === 0 ? 'no shard is ready yet' : `waiting for ${awaited.join(', ')}`);
  }
  if (settings.mode === 'Auto' && state.scaling.band !== 'within') {
    const why = loadScalingBlock(view);
    hold('scaling', why === undefined ? undefined : `load is ${state.scaling.band} its threshold: ${why}`);
  }
  if (state.rollout !== null || outdatedShards(state).length > 0) hold('rollout', rolloutBlock(view));
  if (countsDiffer(state)) hold('rebalancing', rebalancingBlock(view));
  return holds;
}

const isUnassigned = (state: ShardConfigState): boolean => state.owners.every((owner) => owner === null);

/** Whether there is something to balance: an unwanted shard owns slots, or counts are more than one apart. */
function countsDiffer(state: ShardConfigState): boolean {
  if (isUnassigned(state)) return false;
  const counts = shardsOf(state).map((shard) => ({
    wanted: isWanted(state, shard),
    slots: state.owners.filter((owner) => owner === shard.shardId).length,
  }));
  const wanted = counts.filter((c) => c.wanted).map((c) => c.slots);
  return counts.some((c) => !c.wanted && c.slots > 0) || Math.max(...wanted) - Math.min(...wanted) > 1;
}

function conditionsOf(view: View, holds: readonly Hold[]): readonly DesiredCondition[] {
  return [ready(view), progressing(view, holds), degraded(view), scalingLimited(view)];
}

function ready(view: View): DesiredCondition {
  const { state } = view;
  const type = 'Ready';
  const shards = shardsOf(state).filter((shard) => isServing(view, shard));
  const serving = new Set(shards.map(({ shardId }) => shardId));
  const lost = state.owners.filter((owner) => owner === null || !serving.has(owner)).length;
  if (lost === 0) return { type, status: 'True', reason: 'AllSlotsServed', message: 'every slot has a serving shard' };
  const message = `${lost} of ${state.owners.length} slots have no serving shard`;
  return { type, status: 'False', reason: isUnassigned(state) ? 'Starting' : 'SlotsNotServed', message };
}

function progressing(view: View, holds: readonly Hold[]): DesiredCondition {
  const { state } = view;
  const type = 'Progressing';
  const waiting = holds.map(({ what, reason }) => `${what} waits: ${reason}`).join('; ');
  const migrations = openMigrations(state);
  if (state.rollout !== null) {
    const left = outdatedShards(state).length;
    const message = [`${left} workers are to be renewed`, waiting].filter((text) => text !== '').join('; ');
    return { type, status: 'True', reason: 'RollingUpdate', message };
  }
  if (migrations.length > 0) {
    const slots = migrations.reduce((sum, m) => sum + m.slots.length, 0);
    return { type, status: 'True', reason: 'Migrating', message: `${migrations.length} migrations, ${slots} slots` };
  }
  const unfinished = shardsOf(state).filter((shard) => isWanted(state, shard) !== isServing(view, shard));
  if (unfinished.length > 0 || holds.length > 0) {
    const names = unfinished.map((shard) => `${shard.shardId} is ${conditionOf(view, shard)}`).join(', ');
    const message = [names, waiting].filter((text) => text !== '').join('; ');
    return { type, status: 'True', reason: 'Waiting', message };
  }
  return { type, status: 'False', reason: 'Settled', message: 'nothing is under way' };
}

const conditionOf = (view: View, shard: ShardState): string =>
  shard.health === 'Healthy' && !isLoaded(view, shard) ? 'loading' : shard.health;

function degraded(view: View): DesiredCondition {
  const { state } = view;
  const type = 'Degraded';
  if (state.rejected !== null) return invalidSpec(state.rejected.problems);
  if (state.failover.held !== null) {
    const message = `${state.failover.held.shards.join(', ')} failed at once; their slots wait`;
    return { type, status: 'True', reason: 'MassFailure', message };
  }
  const failed = regularShards(state).filter(({ health }) => health === 'Failed' || health === 'Recovering');
  if (failed.length > 0) {
    const message = failed.map(({ shardId, health }) => `${shardId} is ${health}`).join(', ');
    return { type, status: 'True', reason: 'ShardFailed', message };
  }
  const paused = pausedPairs(view);
  if (paused.length > 0) {
    const pairs = paused.map(({ source, target, failures }) => `${source} -> ${target} (${failures} in a row)`);
    const message = `migrations were rolled back: ${pairs.join(', ')}; ${state.lastDecision?.reason ?? ''}`;
    return { type, status: 'True', reason: 'MigrationsFail', message };
  }
  const unheard = regularShards(state).some(({ health }) => health === 'Pending');
  if (state.recovered !== null && unheard) {
    return { type, status: 'True', reason: 'LogRecovered', message: state.recovered.reason };
  }
  return { type, status: 'False', reason: 'AsExpected', message: 'no failure is known' };
}

function scalingLimited(view: View): DesiredCondition {
  const type = 'ScalingLimited';
  const { state, settings } = view;
  const told = settings.shards;
  if (settings.mode === 'Manual' && told !== undefined && told !== state.desiredShards) {
    const message = `spec.shards is ${told}, but minShards ${settings.minShards} and maxShards ${settings.maxShards} win`;
    return { type, status: 'True', reason: told > state.desiredShards ? 'AtMaximum' : 'AtMinimum', message };
  }
  const atMaximum = state.scaling.band === 'above' && state.desiredShards >= settings.maxShards;
  if (settings.mode === 'Auto' && atMaximum) {
    const message = `the load asks for more shards than maxShards ${settings.maxShards}`;
    return { type, status: 'True', reason: 'AtMaximum', message };
  }
  return { type, status: 'False', reason: 'WithinBounds', message: 'the wanted number of shards is allowed' };
}

const invalidSpec = (problems: readonly string[]): DesiredCondition => ({
  type: 'Degraded',
  status: 'True',
  reason: 'InvalidSpec',
  message: `the newest spec is not in force: ${problems.join('; ')}`,
});

/** A first spec that cannot be used: nothing runs. */
function rejectedConditions({ rejected }: ShardConfigState): readonly DesiredCondition[] {
  if (rejected === null) return [];
  const message = 'no usable spec was seen yet';
  return [{ type: 'Ready', status: 'False', reason: 'InvalidSpec', message }, invalidSpec(rejected.problems)];
}
