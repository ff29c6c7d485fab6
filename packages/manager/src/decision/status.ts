import {
  awaitedShards,
  type CommandContext,
  isLoaded,
  isRolling,
  isServing,
  isSurge,
  isWanted,
  type LastDecision,
  openMigrations,
  pausedPairs,
  regularShards,
  type ShardConfigState,
  shardsOf,
  type ShardState,
  type View,
} from '../aggregate/index.ts';
import { rebalancingHold } from '../load-balancer/index.ts';
import { clamp, type Hold, loadHold, loadScalingHold, meanLoad } from '../orchestrator/index.ts';
import { isOverdue, outdatedShards, rolloutHold } from '../rollout/index.ts';

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
interface NamedHold extends Hold {
  readonly what: 'scaling' | 'rebalancing' | 'rollout' | 'failover' | 'start';
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
  readonly holds: readonly NamedHold[];
}

/** Describes `state` for people. Empty conditions before the first accepted config. */
export function describeStatus(state: ShardConfigState, context: CommandContext): DesiredStatus {
  const { settings } = state;
  const view: View | undefined = settings === null ? undefined : { state, settings, ...context };
  const regular = regularShards(state);
  const seen = { state, ...context };
  const active = regular.filter((shard) => showsAll(seen, shard));
  const missing = regular.filter((shard) => !showsAll(seen, shard)).map(({ shardId }) => shardId);
  const percent = regular.length === 0 ? 0 : Math.round((1000 * active.length) / regular.length) / 10;
  return {
    observedGeneration: Math.max(state.specGeneration, state.rejected?.specGeneration ?? 0),
    shards: shardsOf(state).filter((shard) => !isSurge(shard)).length,
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
const showsAll = (view: Pick<View, 'state' | 'progress'>, shard: ShardState): boolean =>
  isServing(shard) && isLoaded(view, shard);

/** Everything that is wanted but does not happen now. */
function holdsOf(view: View): readonly NamedHold[] {
  const { state, settings } = view;
  const holds: NamedHold[] = [];
  const hold = (what: NamedHold['what'], reason: string | undefined, rests = settings.mode === 'Paused'): void => {
    if (reason !== undefined) holds.push({ what, reason, rests });
  };
  if (state.failover.held !== null) {
    hold(
      'failover',
      `${state.failover.held.shards.join(', ')}: waiting for capacity, or for the longest wait to end`,
      false,
    );
  }
  if (isUnassigned(state)) {
    const awaited = awaitedShards(view).map(({ shardId }) => shardId);
    hold('start', awaited.length === 0 ? 'no shard is ready yet' : `waiting for ${awaited.join(', ')}`, false);
  }
  const scaling = scalingHold(view);
  if (scaling !== undefined) hold('scaling', scaling.reason, scaling.rests);
  if (state.rollout !== null || outdatedShards(state).length > 0) {
    hold('rollout', rolloutHold(view), settings.mode === 'Paused' || isStalled(view));
  }
  if (countsDiffer(state)) hold('rebalancing', rebalancingHold(view));
  return holds;
}

/** Why the number of shards is not what the spec or the load asks for. */
function scalingHold(view: View): Hold | undefined {
  const { state, settings } = view;
  if (settings.mode === 'Paused') {
    const isOutside = clamp(state.desiredShards, settings) !== state.desiredShards;
    return isOutside ? { reason: 'mode is Paused', rests: true } : undefined;
  }
  if (settings.mode !== 'Auto' || isUnassigned(state)) return undefined;
  if (state.scaling.band === 'within') {
    // What moves or starts is said elsewhere, and is over soon; figures that do not come are not.
    const unknown = isUnknown(view) ? loadHold(view) : undefined;
    return unknown === undefined ? undefined : { reason: `the load is not known: ${unknown}`, rests: false };
  }
  const why = loadScalingHold(view);
  return why === undefined
    ? undefined
    : { ...why, reason: `load is ${state.scaling.band} its threshold: ${why.reason}` };
}

/** Shards serve, and too few of them tell their load. */
const isUnknown = (view: View): boolean => regularShards(view.state).some(isServing) && meanLoad(view) === undefined;

/** Whether the wanted template does not reach the workers, for longer than it should take. */
const isStalled = (view: View): boolean =>
  isOverdue(view) || view.state.stalledRollout?.revision === view.state.revision;

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

function conditionsOf(view: View, holds: readonly NamedHold[]): readonly DesiredCondition[] {
  return [ready(view), progressing(view, holds), degraded(view), scalingLimited(view, holds)];
}

function ready(view: View): DesiredCondition {
  const { state } = view;
  const type = 'Ready';
  const shards = shardsOf(state).filter((shard) => showsAll(view, shard));
  const serving = new Set(shards.map(({ shardId }) => shardId));
  const lost = state.owners.filter((owner) => owner === null || !serving.has(owner)).length;
  if (lost === 0) return { type, status: 'True', reason: 'AllSlotsServed', message: 'every slot has a serving shard' };
  const message = `${lost} of ${state.owners.length} slots have no serving shard`;
  return { type, status: 'False', reason: isUnassigned(state) ? 'Starting' : 'SlotsNotServed', message };
}

function progressing(view: View, holds: readonly NamedHold[]): DesiredCondition {
  const type = 'Progressing';
  const { state } = view;
  const texts = (some: readonly NamedHold[], verb: string): string[] =>
    some.map(({ what, reason }) => `${what} ${verb}: ${reason}`);
  const waiting = texts(
    holds.filter(({ rests }) => !rests),
    'waits',
  );
  const resting = texts(
    holds.filter(({ rests }) => rests),
    'rests',
  );
  const say = (status: DesiredCondition['status'], reason: string, ...parts: string[]): DesiredCondition => {
    return { type, status, reason, message: parts.join('; ') };
  };
  const migrations = openMigrations(state);
  if (migrations.length > 0 && state.rollout === null) {
    const slots = migrations.reduce((sum, m) => sum + m.slots.length, 0);
    return say('True', 'Migrating', `${migrations.length} migrations, ${slots} slots`);
  }
  const stalled = stalledText(view);
  if (stalled !== undefined) return say('False', 'ProgressDeadlineExceeded', stalled, ...waiting, ...resting);
  if (state.rollout !== null && view.settings.mode !== 'Paused') {
    return say(
      'True',
      'RollingUpdate',
      `${outdatedShards(state).length} workers have to be replaced`,
      ...waiting,
      ...resting,
    );
  }
  const unfinished = shardsOf(state)
    .filter((shard) => isWanted(state, shard) !== showsAll(view, shard))
    .map((shard) => `${shard.shardId} ${isWanted(state, shard) ? `is ${conditionOf(view, shard)}` : 'is leaving'}`);
  if (unfinished.length + waiting.length > 0) return say('True', 'Waiting', ...unfinished, ...waiting, ...resting);
  return say('False', 'Settled', 'no change is in progress', ...resting);
}

const conditionOf = (view: View, shard: ShardState): string =>
  shard.health === 'Healthy' && !isLoaded(view, shard) ? 'loading' : shard.health;

/** What to know of a rolling update that makes no progress. */
function stalledText(view: View): string | undefined {
  const { state, settings } = view;
  if (!isStalled(view) || settings.mode === 'Paused') return undefined;
  if (state.rollout === null) return `the rolling update stalled: ${state.stalledRollout?.reason ?? ''}`;
  return `the rolling update to revision ${state.rollout.revision} has made no progress for ${settings.rollout.deadlineMs / 1000} s`;
}

/** Everything that is wrong, the worst first: it gives the reason, and all of it the message. */
function degraded(view: View): DesiredCondition {
  const type = 'Degraded';
  const { state } = view;
  const problems: { readonly reason: string; readonly message: string }[] = [];
  if (state.rejected !== null) problems.push(invalidSpec(state.rejected.problems));
  if (state.failover.held !== null) {
    const message = `${state.failover.held.shards.join(', ')} failed at once; their slots wait`;
    problems.push({ reason: 'MassFailure', message });
  }
  const failed = regularShards(state).filter(({ health }) => health === 'Failed' || health === 'Recovering');
  if (failed.length > 0) {
    const message = failed.map(({ shardId, health }) => `${shardId} is ${health}`).join(', ');
    problems.push({ reason: 'ShardFailed', message });
  }
  const paused = pausedPairs(view);
  if (paused.length > 0) {
    const pairs = paused.map(
      ({ source, target, failures, reason }) => `${source} -> ${target} (${failures} in a row: ${reason})`,
    );
    problems.push({ reason: 'MigrationsFail', message: `migrations were rolled back: ${pairs.join(', ')}` });
  }
  const stalled = stalledText(view);
  if (stalled !== undefined) problems.push({ reason: 'RollingUpdateStalled', message: stalled });
  const unheard = regularShards(state).some(({ health }) => health === 'Pending');
  if (state.recovered !== null && unheard) problems.push({ reason: 'LogRecovered', message: state.recovered.reason });
  const [worst] = problems;
  if (worst === undefined) return { type, status: 'False', reason: 'AsExpected', message: 'no failure is known' };
  return { type, status: 'True', reason: worst.reason, message: problems.map(({ message }) => message).join('; ') };
}

function scalingLimited(view: View, holds: readonly NamedHold[]): DesiredCondition {
  const type = 'ScalingLimited';
  const { state, settings } = view;
  const limited = (reason: string, message: string): DesiredCondition => ({ type, status: 'True', reason, message });
  const told = settings.shards;
  if (settings.mode === 'Manual' && told !== undefined && told !== clamp(told, settings)) {
    const message = `spec.shards is ${told}, but minShards ${settings.minShards} and maxShards ${settings.maxShards} take precedence`;
    return limited(told > settings.maxShards ? 'AtMaximum' : 'AtMinimum', message);
  }
  const hold = holds.find(({ what }) => what === 'scaling');
  if (settings.mode === 'Paused' && hold !== undefined) {
    const bounds = `minShards ${settings.minShards} and maxShards ${settings.maxShards}`;
    return limited('Paused', `${state.desiredShards} shards are outside of ${bounds}, but ${hold.reason}`);
  }
  const atMaximum = state.scaling.band === 'above' && state.desiredShards >= settings.maxShards;
  if (settings.mode === 'Auto' && atMaximum) {
    return limited('AtMaximum', `the load asks for more shards than maxShards ${settings.maxShards}`);
  }
  if (hold !== undefined && state.scaling.band !== 'within' && isRolling(state)) {
    return limited('RollingUpdate', hold.reason);
  }
  if (hold !== undefined && isUnknown(view)) return limited('LoadUnknown', hold.reason);
  return { type, status: 'False', reason: 'WithinBounds', message: 'the requested number of shards is within bounds' };
}

const invalidSpec = (problems: readonly string[]) => ({
  reason: 'InvalidSpec',
  message: `the newest spec is not in force: ${problems.join('; ')}`,
});

/** A first spec that cannot be used: nothing runs. */
function rejectedConditions({ rejected }: ShardConfigState): readonly DesiredCondition[] {
  if (rejected === null) return [];
  const message = 'no valid spec has been seen yet';
  return [
    { type: 'Ready', status: 'False', reason: 'InvalidSpec', message },
    { type: 'Degraded', status: 'True', ...invalidSpec(rejected.problems) },
  ];
}
