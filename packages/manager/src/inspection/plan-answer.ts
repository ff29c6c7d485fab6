import type { InspectionItem, InspectionQuery } from '@shard-controller/shared/contracts';
import { openMigrations, type ShardConfigState, type ShardEvent } from '../aggregate/index.ts';
import { type DryRun, dryRun } from '../load-balancer/index.ts';
import type { Inspected } from './fleet-answers.ts';

/** Most pairs of shards that a plan lists; it counts all slots. */
const MAX_MOVES = 300;

/**
 * What would move for another number of shards, or by another strategy. Undefined before there are settings.
 * @throws UnknownStrategyError
 */
export function planItem(
  inspected: Inspected,
  { shards, strategy }: InspectionQuery<'plan'>,
  durations: readonly number[],
): InspectionItem<'plan'> | undefined {
  const { config, state } = inspected;
  if (state?.settings == null) return undefined;
  const to = shards ?? state.desiredShards;
  const by = strategy ?? state.settings.strategy;
  const held: Record<string, number> = {};
  for (const shardId of Object.keys(state.shards)) {
    const objects = inspected.worker(shardId)?.objects;
    if (objects !== undefined) held[shardId] = objects;
  }
  const plan = dryRun(state, to, by, held);
  const objects = objectsMoved(state, plan, held);
  const open = openMigrations(state).length;
  const blocked =
    inspected.hold?.message ?? boundsProblem(state, to) ?? (open > 0 ? `${open} migrations are open` : undefined);
  return {
    namespace: config.namespace,
    config: config.name,
    from: state.desiredShards,
    to,
    strategy: by,
    slots: state.owners.length,
    moved: plan.moved,
    minimum: plan.minimum,
    ...(objects === undefined ? {} : { objects }),
    moves: plan.moves.slice(0, MAX_MOVES).map(({ from, to: target, slots }) => ({ source: from, target, slots })),
    ...lastMoves(durations),
    ...(blocked === undefined ? {} : { blocked }),
  };
}

function boundsProblem({ settings }: ShardConfigState, shards: number): string | undefined {
  if (settings === null) return undefined;
  const { minShards, maxShards } = settings;
  if (shards >= minShards && shards <= maxShards) return undefined;
  return `${shards} shards are outside spec.minShards ${minShards} to spec.maxShards ${maxShards}`;
}

/** Each source's objects by the share of its slots that moves; undefined where a source is not heard. */
function objectsMoved(
  state: ShardConfigState,
  { moves }: DryRun,
  held: Readonly<Record<string, number>>,
): number | undefined {
  let sum = 0;
  for (const { from, slots } of moves) {
    if (from === null) continue;
    const objects = held[from];
    if (objects === undefined) return undefined;
    sum += (objects * slots) / state.owners.filter((owner) => owner === from).length;
  }
  return Math.round(sum);
}

/** Durations of the completed migrations among these events, ms. */
export function completedDurations(events: readonly ShardEvent[]): readonly number[] {
  return events.flatMap((event) => (event.type === 'shard.migration.completed.v1' ? [event.durationMs] : []));
}

function lastMoves(durations: readonly number[]): Pick<InspectionItem<'plan'>, 'lastMovesMs'> {
  const sorted = [...durations].sort((a, b) => a - b);
  const median = sorted[Math.floor(sorted.length / 2)];
  const longest = sorted.at(-1);
  if (median === undefined || longest === undefined) return {};
  return { lastMovesMs: { moves: sorted.length, median, longest } };
}
