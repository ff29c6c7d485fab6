import {
  awaitedShards,
  failedOwners,
  type LoadBand,
  openMigrations,
  regularShards,
  type Settings,
  type View,
} from '../aggregate/model.ts';

/**
 * Mean load over the wanted shards, 1.0 = `capacity` each; undefined while it would mislead: figures are missing, or
 * moving slots are counted at both ends.
 */
export function steadyLoad(view: View): number | undefined {
  const { state } = view;
  if (openMigrations(state).length > 0 || state.rollout !== null || failedOwners(state).length > 0) return undefined;
  if (awaitedShards(view).length > 0) return undefined;
  return meanLoad(view);
}

/** Mean load as far as figures are known; undefined when one is missing. */
export function meanLoad({ state, settings, objects }: View): number | undefined {
  const counts = regularShards(state).map(({ shardId }) => objects[shardId]);
  const known = counts.filter((count) => count !== undefined);
  if (known.length === 0 || known.length < counts.length) return undefined;
  return known.reduce((sum, count) => sum + count, 0) / (known.length * settings.capacity.objects);
}

export function bandOf(load: number, { scaleUpThreshold, scaleDownThreshold }: Settings): LoadBand {
  if (load > scaleUpThreshold) return 'above';
  return load < scaleDownThreshold ? 'below' : 'within';
}

/** `shards` within the two bounds, which always win. */
export const clamp = (shards: number, { minShards, maxShards }: Settings): number =>
  Math.min(maxShards, Math.max(minShards, shards));

/** Shards that a load above the threshold asks for; the present number when no more are allowed. */
export function shardsAbove({ state, settings }: View, load: number): number {
  const { desiredShards } = state;
  const wanted = Math.ceil((load * desiredShards) / settings.scaleUpThreshold);
  return Math.max(desiredShards, clamp(Math.min(wanted, desiredShards + settings.scaling.maxStep), settings));
}

/** Shards that a load below the threshold leaves; sized for the middle of both, so that it does not swing back. */
export function shardsBelow({ state, settings }: View, load: number): number {
  const { desiredShards } = state;
  const middle = (settings.scaleUpThreshold + settings.scaleDownThreshold) / 2;
  const wanted = Math.max(1, Math.ceil((load * desiredShards) / middle));
  return Math.min(desiredShards, clamp(Math.max(wanted, desiredShards - settings.scaling.maxStep), settings));
}

/** Why the number of shards stays though the load is past a threshold, or undefined when it need not stay. */
export function loadScalingBlock(view: View): string | undefined {
  const { state, settings, now } = view;
  const { band, bandSince, lastScaleAt } = state.scaling;
  const load = steadyLoad(view);
  if (load === undefined) return 'the load is not known for certain while shards start, fail or move slots';
  const up = band === 'above';
  const sustained = up ? settings.scaling.sustainedMs : settings.scaling.scaleDownCooldownMs;
  if (now - bandSince < sustained) return `it must last ${text(bandSince + sustained - now)} longer`;
  const cooldown = up ? settings.scaling.scaleUpCooldownMs : settings.scaling.scaleDownCooldownMs;
  if (now - lastScaleAt < cooldown) return `cooldown for ${text(lastScaleAt + cooldown - now)} more`;
  const to = up ? shardsAbove(view, load) : shardsBelow(view, load);
  if (to !== state.desiredShards) return undefined;
  if (up) return `maxShards is ${settings.maxShards}`;
  return state.desiredShards <= settings.minShards
    ? `minShards is ${settings.minShards}`
    : 'fewer shards would be too loaded';
}

const text = (ms: number): string => `${Math.ceil(ms / 1000)} s`;
