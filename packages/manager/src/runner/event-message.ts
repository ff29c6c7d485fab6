import type { MigrationState, ShardEvent } from '../aggregate/index.ts';
import { comparedEverything } from '../verification/index.ts';

/** An event in words: one log line, and a Kubernetes Event where it concerns the user. */
export interface EventMessage {
  readonly level: 'info' | 'warn';
  readonly message: string;
  /** Reason and type of the Kubernetes Event; absent for inner steps. */
  readonly note?: { readonly type: 'Normal' | 'Warning'; readonly reason: string };
}

const normal = (reason: string, message: string): EventMessage => ({
  level: 'info',
  message,
  note: { type: 'Normal', reason },
});
const warning = (reason: string, message: string): EventMessage => ({
  level: 'warn',
  message,
  note: { type: 'Warning', reason },
});
const step = (message: string): EventMessage => ({ level: 'info', message });

/** From where to where migrations go, by id: as much as is needed to name them. */
export type KnownMigrations = Readonly<Record<string, Pick<MigrationState, 'source' | 'target'> | undefined>>;

/** Says what an event means, given the migrations before it. */
export function describeEvent(event: ShardEvent, migrations: KnownMigrations): EventMessage {
  switch (event.type) {
    case 'shard.config.accepted.v1':
      return step(`spec generation ${event.specGeneration} is in force`);
    case 'shard.config.rejected.v1':
      return warning(
        'InvalidSpec',
        `spec generation ${event.specGeneration} cannot be used: ${event.problems.join('; ')}`,
      );
    case 'shard.config.deleted.v1':
      return step('the ShardConfig was deleted');
    case 'shard.scaled.v1':
      return normal(
        scaledReason(event.from, event.to),
        `${event.from} -> ${event.to} shards (${event.trigger}): ${event.reason}`,
      );
    case 'shard.load.crossed.v1':
      return step(`load ${event.load.toFixed(2)} is ${event.band} the thresholds`);
    case 'shard.health.changed.v1':
      return describeHealth(event.shardId, event.from, event.to, event.evidence);
    case 'shard.reported.v1':
      return step(`${event.shardId} runs revision ${event.revision}${event.draining ? ' and is draining' : ''}`);
    case 'shard.removed.v1':
      return step(`${event.shardId} is gone`);
    case 'shard.standby.promoted.v1': {
      const message = `${event.shardId}: replica ${event.to} serves instead of ${event.from} (${event.cause}): ${event.reason}`;
      return event.cause === 'lost' ? warning('StandbyPromoted', message) : normal('StandbyPromoted', message);
    }
    case 'shard.slots.assigned.v1': {
      const slots = event.moves.reduce((sum, move) => sum + move.slots.length, 0);
      const message = `${slots} slots assigned (${event.cause}): ${event.reason}`;
      return event.cause === 'failover' ? warning('Failover', message) : step(message);
    }
    case 'shard.slots.shown.v1':
      return step(
        `${event.shardId} shows all its slots; ${event.releases.map((r) => r.shardId).join(', ')} may release theirs`,
      );
    case 'shard.failover.held.v1':
      return warning('FailoverHeld', `failover of ${event.shards.join(', ')} waits: ${event.reason}`);
    case 'shard.failover.resumed.v1':
      return normal('FailoverResumed', event.reason);
    case 'shard.release.confirmed.v1':
      return step(`${event.shardId} has released the slots it had lost`);
    case 'shard.rollout.started.v1':
      return normal(
        'RolloutStarted',
        `rolling the workers to revision ${event.revision}, with ${event.surge} as surge worker`,
      );
    case 'shard.rollout.proved.v1':
      return step(`revision ${event.revision} reaches the workers: ${event.reason}`);
    case 'shard.rollout.ended.v1':
      return event.outcome === 'stalled'
        ? warning('RolloutStalled', `the rolling update to revision ${event.revision} stalled: ${event.reason}`)
        : step(`the rolling update to revision ${event.revision} pauses: ${event.reason}`);
    case 'shard.rollout.replacing.v1':
      return step(`${event.shardId} serves nothing; its outdated pod is replaced`);
    case 'shard.rollout.completed.v1':
      return normal(
        'RolloutCompleted',
        `all workers run revision ${event.revision} after ${seconds(event.durationMs)}`,
      );
    case 'shard.log.recovered.v1':
      return warning(
        'LogRecovered',
        `state was rebuilt from the ShardInstances as generation ${event.generation}: ${event.reason}`,
      );
    case 'shard.migration.planned.v1':
    case 'shard.migration.started.v1':
    case 'shard.migration.transferring.v1':
    case 'shard.migration.acknowledged.v1':
    case 'shard.migration.verified.v1':
    case 'shard.migration.committed.v1':
    case 'shard.migration.completed.v1':
    case 'shard.migration.rolledback.v1':
      return describeMigration(event, migrations);
  }
  return event satisfies never;
}

type MigrationEvent = Extract<ShardEvent, { type: `shard.migration.${string}` }>;

function describeMigration(event: MigrationEvent, migrations: KnownMigrations): EventMessage {
  const migration = migrations[event.id];
  const what = migration === undefined ? event.id : `${event.id} (${migration.source} -> ${migration.target})`;
  switch (event.type) {
    case 'shard.migration.planned.v1': {
      const { id, source, target, slots, cause, reason } = event;
      return step(`migration ${id}: ${slots.length} slots ${source} -> ${target} (${cause}): ${reason}`);
    }
    case 'shard.migration.started.v1':
      return step(`migration ${what}: Preparation`);
    case 'shard.migration.transferring.v1':
      return step(`migration ${what}: Transfer`);
    case 'shard.migration.acknowledged.v1':
      return step(`migration ${what}: Verification, ${event.objects} objects are exposed`);
    case 'shard.migration.verified.v1':
      return comparedEverything(event.detail)
        ? step(`migration ${what}: Cleanup, ${event.detail}`)
        : normal('VerifiedInPart', `migration ${what} continues: ${event.detail}`);
    case 'shard.migration.committed.v1':
      return event.because === 'overlap-expired'
        ? warning('OverlapExpired', `migration ${what} continues without all scrapers: ${event.reason}`)
        : step(`migration ${what}: the target is responsible (${event.because})`);
    case 'shard.migration.completed.v1':
      return step(
        `migration ${what}: completed after ${seconds(event.durationMs)}${event.released ? '' : '; its source has yet to release'}`,
      );
    case 'shard.migration.rolledback.v1':
      return warning(
        'MigrationRolledBack',
        `migration ${what} was rolled back in ${event.step}, its source keeps serving: ${event.reason}`,
      );
  }
  return event satisfies never;
}

type Health = Extract<ShardEvent, { type: 'shard.health.changed.v1' }>['to'];

function describeHealth(shardId: string, from: Health, to: Health, evidence: readonly string[]): EventMessage {
  const message = `${shardId}: ${from} -> ${to}${evidence.length === 0 ? '' : ` (${evidence.join('; ')})`}`;
  if (to === 'Failed') return warning('ShardFailed', message);
  if (to === 'Healthy' && from !== 'Pending' && from !== 'Suspect') return normal('ShardRecovered', message);
  return step(message);
}

function scaledReason(from: number, to: number): string {
  if (to > from) return 'ScaledUp';
  return to < from ? 'ScaledDown' : 'Scaled';
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
