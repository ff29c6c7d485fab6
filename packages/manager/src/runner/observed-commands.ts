import type { ShardConfigSpec } from '@shard-controller/shared/api';
import {
  type CommandBody,
  type CommandContext,
  isIdle,
  isWanted,
  type LoadProgress,
  type ObservedConfig,
  openMigrations,
  type ShardConfigState,
  type ShardState,
  slotsOf,
} from '../aggregate/index.ts';
import type { WorkerSettings } from '../config/index.ts';
import { templateRevision } from '../effects/index.ts';
import { healthBounds, needsInstanceRead, shardCommand, standbyCommand } from '../health-monitor/index.ts';
import { handoverCommands } from '../migration/index.ts';
import type { ConfigIdentity } from '../naming/index.ts';
import {
  hasShown,
  loadOf,
  observeShard,
  scraperProgress,
  type ShardSources,
  signsOf,
  standbySigns,
} from '../observation/index.ts';
import { settingsOf } from './settings.ts';
import type { VerificationFinished } from './verifications.ts';

/** A worker's figures count for so long; they come every second, ms. */
const FIGURES_MS = 10_000;

/** What is seen of the shards of one ShardConfig, by shard. */
export type SourcesOf = (shardId: string) => ShardSources;

/** The spec in the form that decisions use. */
export function observedConfig(
  config: ConfigIdentity,
  spec: ShardConfigSpec,
  specGeneration: number,
  worker: WorkerSettings,
): ObservedConfig {
  return {
    uid: config.uid,
    namespace: config.namespace,
    name: config.name,
    specGeneration,
    settings: settingsOf(spec),
    revision: templateRevision({ config, spec, worker }),
  };
}

/** Whether the spec says something that the state does not hold. */
export function isNewConfig(state: ShardConfigState, config: ObservedConfig): boolean {
  return (
    state.settings === null ||
    state.specGeneration !== config.specGeneration ||
    state.revision !== config.revision ||
    JSON.stringify(state.settings) !== JSON.stringify(config.settings)
  );
}

/** What the active workers last said of their shards. `now` is monotonic, ms. */
export function shardFigures(
  state: ShardConfigState,
  sourcesOf: SourcesOf,
  now: number,
): Pick<CommandContext, 'objects' | 'progress'> {
  const objects: Record<string, number> = {};
  const progress: Record<string, LoadProgress> = {};
  for (const shardId of Object.keys(state.shards)) {
    const sources = sourcesOf(shardId);
    const load = loadOf(sources, now);
    const { worker } = sources;
    if (worker !== undefined && now - worker.heardAt < FIGURES_MS) objects[shardId] = worker.heartbeat.load.objects;
    if (load !== undefined) progress[shardId] = load;
  }
  return { objects, progress };
}

/** Commands for whatever is seen of the shards and is news to the state. `now` is monotonic, ms. */
export function observedCommands(state: ShardConfigState, sourcesOf: SourcesOf, now: number): CommandBody[] {
  const { settings } = state;
  if (settings === null) return [];
  const bounds = healthBounds(settings.health.intervalMs);
  return Object.values(state.shards).flatMap((shard): CommandBody[] => {
    const sources = sourcesOf(shard.shardId);
    const takeover = standbyCommand(state, shard.shardId, standbySigns(sources, now), bounds, now);
    // Everything else that is seen is about the worker that is about to be replaced.
    if (takeover !== undefined) return [takeover];
    const observation = observeShard(shard.shardId, sources, shard.health, bounds, now);
    const shown = hasShown(sources, settings.handover, bounds, now);
    const seen = shardCommand(state, { ...observation, shown });
    const { worker, pod } = sources;
    const recent = worker !== undefined && now - worker.heardAt < bounds.failedMs;
    return [
      ...(seen === undefined ? [] : [seen]),
      ...(recent ? handoverCommands(state, shard.shardId, worker.heartbeat.handovers) : []),
      ...(pod === null && isLeftOver(state, shard) ? [{ type: 'PodGone' as const, shardId: shard.shardId }] : []),
    ];
  });
}

/** Silent shards whose ShardInstance has to be read before they can count as lost. `now` is monotonic, ms. */
export function shardsToRead(state: ShardConfigState, sourcesOf: SourcesOf, now: number): readonly string[] {
  if (state.settings === null) return [];
  const bounds = healthBounds(state.settings.health.intervalMs);
  return Object.values(state.shards).flatMap((shard) => {
    const { health, shardId } = shard;
    // One that is starting, and has nothing yet, may take its time.
    const canFail = health !== 'Failed' && (health !== 'Pending' || !isIdle(state, shard));
    return canFail && needsInstanceRead(signsOf(sourcesOf(shardId), now), bounds, now) ? [shardId] : [];
  });
}

/** No longer wanted, and without anything that only its worker could let go of. */
function isLeftOver(state: ShardConfigState, shard: ShardState): boolean {
  const { shardId } = shard;
  const isMoving = openMigrations(state).some(({ source, target }) => source === shardId || target === shardId);
  return !isWanted(state, shard) && !isMoving && slotsOf(state, shardId).length === 0;
}

export type ScrapersMoved = Extract<CommandBody, { type: 'ScrapersMoved' }>;

/**
 * Commands for migrations whose scrapers have moved and that were verified once more after that: what was created since
 * the first verification may be shown by the source alone.
 */
export function moveEnds(moved: readonly ScrapersMoved[], verified: readonly VerificationFinished[]): CommandBody[] {
  return verified.flatMap((each): CommandBody[] =>
    each.equal ? moved.filter(({ migration }) => migration === each.migration) : [each],
  );
}

/** Commands for migrations whose scrapers have all been at the target. `now` is monotonic, ms. */
export function scraperCommands(state: ShardConfigState, sourcesOf: SourcesOf, now: number): ScrapersMoved[] {
  if (state.settings === null) return [];
  const ttl = state.settings.handover.scraperTtlMs;
  const { suspectMs } = healthBounds(state.settings.health.intervalMs);
  return Object.values(state.migrations).flatMap((migration): ScrapersMoved[] => {
    const { id, step, committed, acknowledgedAt } = migration;
    if (step !== 'Cleanup' || committed || acknowledgedAt === null) return [];
    const source = sourcesOf(migration.source);
    const { worker } = sourcesOf(migration.target);
    if (source.worker === undefined || worker === undefined) return [];
    // A target that is silent may be gone with everything that was scraped, and a source may have new scrapers.
    if (now - Math.min(worker.heardAt, source.worker.heardAt) >= suspectMs) return [];
    const target = worker.heartbeat;
    // A target that was promoted meanwhile has acknowledged by its own clock.
    const since = target.handovers.find(({ migration: of }) => of === id)?.acknowledgedAt ?? acknowledgedAt;
    // No scraper has read a source that was promoted a moment ago, but the scrapers of its predecessor still read the shard.
    const before = source.other.worker;
    const served = [source.worker, ...(before !== undefined && now - before.heardAt < ttl ? [before] : [])];
    const others = Object.keys(state.shards)
      .filter((shardId) => shardId !== migration.source && shardId !== migration.target)
      .flatMap((shardId) => sourcesOf(shardId).worker ?? [])
      .filter(({ heardAt }) => now - heardAt < suspectMs)
      .map(({ heartbeat }) => heartbeat);
    const moved = served.every(({ heartbeat }) => scraperProgress(heartbeat, target, others, since, ttl).moved);
    if (!moved) return [];
    return [
      { type: 'ScrapersMoved', migration: id, detail: `the scrapers of ${migration.source} have read the target` },
    ];
  });
}
