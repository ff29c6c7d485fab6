import {
  awaitedShards,
  failedOwners,
  isRolling,
  isServing,
  type LoadBand,
  openMigrations,
  regularShards,
  type Settings,
  type ShardConfigState,
  type ShardState,
  type View,
} from '../aggregate/index.ts';

/** Why the load is not known now, in words, or undefined: figures are missing, or moving slots count at both ends. */
export function loadHold(view: View): string | undefined {
  const { state } = view;
  if (isRolling(state)) return 'a rolling update moves slots';
  if (openMigrations(state).length > 0) return 'slots are moving, and both ends count them';
  if (failedOwners(state).length > 0) return 'a failover is not finished';
  const awaited = awaitedShards(view);
  if (awaited.length > 0) return `waiting for ${names(awaited)}`;
  if (meanLoad(view) !== undefined) return undefined;
  const silent = servingShards(state).filter(({ shardId }) => view.objects[shardId] === undefined);
  return silent.length === 0 ? 'no shard serves' : `no figures from ${names(silent)}`;
}

/** Mean load of the shards that serve, 1.0 = `capacity` each; undefined while it would mislead. */
export const steadyLoad = (view: View): number | undefined =>
  loadHold(view) === undefined ? meanLoad(view) : undefined;

/**
 * Mean load of the shards that serve, from those whose figures are known; undefined when they are less than half. A
 * shard that never came takes no part, and one that is silent for a while is like the others.
 */
export function meanLoad({ state, settings, objects }: View): number | undefined {
  const serving = servingShards(state);
  const known = serving.flatMap(({ shardId }) => objects[shardId] ?? []);
  if (known.length === 0 || known.length * 2 < serving.length) return undefined;
  return known.reduce((sum, count) => sum + count, 0) / (known.length * settings.capacity.objects);
}

const servingShards = (state: ShardConfigState): readonly ShardState[] => regularShards(state).filter(isServing);

const names = (shards: readonly ShardState[]): string => shards.map(({ shardId }) => shardId).join(', ');

/**
 * Share of a threshold that the load has to come back before it counts as within again: else a load that lies at the
 * threshold crosses it for ever, and never stays above for long enough.
 */
const HYSTERESIS = 0.05;

export function bandOf(load: number, { scaleUpThreshold, scaleDownThreshold }: Settings, before: LoadBand): LoadBand {
  const up = before === 'above' ? scaleUpThreshold * (1 - HYSTERESIS) : scaleUpThreshold;
  const down = before === 'below' ? scaleDownThreshold * (1 + HYSTERESIS) : scaleDownThreshold;
  if (load > up) return 'above';
  return load < down ? 'below' : 'within';
}

/** `shards` within the two bounds, which always win. */
export const clamp = (shards: number, { minShards, maxShards }: Settings): number =>
  Math.min(maxShards, Math.max(minShards, shards));

/** Shards that a load above the threshold asks for; the present number when no more are allowed. */
export function shardsAbove({ state, settings }: View, load: number): number {
  const { desiredShards } = state;
  const wanted = Math.ceil((load * servingShards(state).length) / settings.scaleUpThreshold);
  return Math.max(desiredShards, clamp(Math.min(wanted, desiredShards + settings.scaling.maxStep), settings));
}

/** Shards that a load below the threshold leaves; sized for the middle of both, so that it does not swing back. */
export function shardsBelow({ state, settings }: View, load: number): number {
  const { desiredShards } = state;
  const middle = (settings.scaleUpThreshold + settings.scaleDownThreshold) / 2;
  const wanted = Math.max(1, Math.ceil((load * servingShards(state).length) / middle));
  return Math.min(desiredShards, clamp(Math.max(wanted, desiredShards - settings.scaling.maxStep), settings));
}

/** Why something does not happen. */
export interface Hold {
  readonly reason: string;
  /** It stays so until the load or the user changes it: nothing is in progress. */
  readonly rests: boolean;
}

/** Why the number of shards stays though the load is past a threshold, or undefined when it need not stay. */
export function loadScalingHold(view: View): Hold | undefined {
  const { state, settings, now } = view;
  const { band, bandSince, lastScaleAt } = state.scaling;
  const waits = (reason: string): Hold => ({ reason, rests: false });
  const unknown = loadHold(view);
  if (unknown !== undefined) return waits(`the load is not known: ${unknown}`);
  const load = meanLoad(view) ?? 0;
  const up = band === 'above';
  const to = up ? shardsAbove(view, load) : shardsBelow(view, load);
  if (to === state.desiredShards) return boundOf(view, up);
  const sustained = up ? settings.scaling.sustainedMs : settings.scaling.scaleDownCooldownMs;
  if (now - bandSince < sustained) return waits(`it must last until ${timeOf(bandSince + sustained)}`);
  const cooldown = up ? settings.scaling.scaleUpCooldownMs : settings.scaling.scaleDownCooldownMs;
  if (now - lastScaleAt < cooldown) return waits(`cooldown until ${timeOf(lastScaleAt + cooldown)}`);
  return undefined;
}

/** What keeps a load past a threshold from changing the number of shards at all. */
function boundOf({ state, settings }: View, up: boolean): Hold {
  if (up && state.desiredShards >= settings.maxShards)
    return { reason: `maxShards is ${settings.maxShards}`, rests: true };
  if (!up && state.desiredShards <= settings.minShards)
    return { reason: `minShards is ${settings.minShards}`, rests: true };
  if (!up) return { reason: 'fewer shards would be overloaded', rests: true };
  const missing = regularShards(state).filter((shard) => !isServing(shard));
  if (missing.length === 0) return { reason: 'it is barely above now', rests: true };
  return {
    reason: `${state.desiredShards} shards would be enough, but these do not serve: ${names(missing)}`,
    rests: false,
  };
}

/** A time of the day, UTC: a text that counts seconds would be news every second. */
const timeOf = (at: number): string => `${new Date(at).toISOString().slice(11, 19)}Z`;
