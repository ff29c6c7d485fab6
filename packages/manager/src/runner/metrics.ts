import type { Metrics } from '@shard-controller/shared/observability';
import type { ShardConfigState, ShardEvent } from '../aggregate/index.ts';
import type { DesiredStatus } from '../decision/index.ts';

const CONFIG_LABELS = ['namespace', 'shardconfig'] as const;

/** Metrics of decisions and their outcome, per ShardConfig. Only the leader sets the gauges; the others drop them. */
export class DecisionMetrics {
  readonly #shards;
  readonly #load;
  readonly #scalings;
  readonly #migrationSeconds;
  readonly #openMigrations;
  readonly #coverage;
  readonly #ready;
  readonly #slotsMoved;
  readonly #events;
  readonly #rejections;
  readonly #invalidMessages;
  readonly #effectProblems;
  readonly #leader;

  constructor(metrics: Metrics) {
    const gauge = (name: string, help: string) => metrics.gauge({ name, help, labelNames: CONFIG_LABELS });
    this.#shards = gauge('shard_controller_shards_total', 'Shards that exist.');
    this.#load = gauge('shard_controller_load_average', 'Mean load of the shards; 1 is their capacity.');
    this.#openMigrations = gauge('shard_controller_open_migrations', 'Migrations in progress.');
    this.#coverage = gauge(
      'shard_controller_coverage_ratio',
      'Share of the shards that are healthy, or silent only for a moment, 0 to 1.',
    );
    this.#ready = gauge('shard_controller_ready_shards', 'Shards that are healthy, or silent only for a moment.');
    this.#scalings = metrics.counter({
      name: 'shard_controller_scaling_operations_total',
      help: 'Decisions that changed the number of shards.',
      labelNames: [...CONFIG_LABELS, 'direction', 'trigger'],
    });
    this.#migrationSeconds = metrics.histogram({
      name: 'shard_controller_migration_duration_seconds',
      help: 'Duration of a migration, from its plan to its end.',
      labelNames: [...CONFIG_LABELS, 'outcome'],
      buckets: [0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600],
    });
    this.#slotsMoved = metrics.counter({
      name: 'shard_controller_slots_moved_total',
      help: 'Slots that moved to another responsible shard.',
      labelNames: [...CONFIG_LABELS, 'cause'],
    });
    this.#events = metrics.counter({
      name: 'shard_controller_events_total',
      help: 'Events appended to the log, by type.',
      labelNames: [...CONFIG_LABELS, 'type'],
    });
    this.#rejections = metrics.counter({
      name: 'shard_controller_commands_rejected_total',
      help: 'Commands that no state of a machine handles.',
      labelNames: [...CONFIG_LABELS, 'machine', 'command'],
    });
    this.#invalidMessages = metrics.counter({
      name: 'shard_controller_invalid_messages_total',
      help: 'NATS messages that did not have the expected form.',
      labelNames: ['kind'],
    });
    this.#effectProblems = metrics.counter({
      name: 'shard_controller_effect_failures_total',
      help: 'Rounds of effects in which at least one effect failed.',
      labelNames: CONFIG_LABELS,
    });
    this.#leader = metrics.gauge({ name: 'shard_controller_leader', help: '1 while this manager leads, else 0.' });
    this.#leader.set(0);
  }

  leader(leading: boolean): void {
    this.#leader.set(leading ? 1 : 0);
  }

  invalidMessage(kind: string): void {
    this.#invalidMessages.inc({ kind });
  }

  rejected(config: ConfigName, machine: string, command: string): void {
    this.#rejections.inc({ ...labels(config), machine, command });
  }

  effectsFailed(config: ConfigName): void {
    this.#effectProblems.inc(labels(config));
  }

  /** Counts an event that was stored; `before` is the state that it was decided on. */
  event(config: ConfigName, event: ShardEvent, before: ShardConfigState): void {
    const of = labels(config);
    this.#events.inc({ ...of, type: event.type });
    if (event.type === 'shard.scaled.v1') {
      this.#scalings.inc({ ...of, direction: event.to >= event.from ? 'up' : 'down', trigger: event.trigger });
    } else if (event.type === 'shard.migration.completed.v1') {
      this.#migrationSeconds.observe({ ...of, outcome: 'completed' }, event.durationMs / 1000);
    } else if (event.type === 'shard.migration.rolledback.v1') {
      const planned = before.migrations[event.id]?.plannedAt ?? event.at;
      this.#migrationSeconds.observe({ ...of, outcome: 'rolledback' }, (event.at - planned) / 1000);
    } else if (event.type === 'shard.migration.committed.v1') {
      const migration = before.migrations[event.id];
      if (migration !== undefined) this.#slotsMoved.inc({ ...of, cause: migration.cause }, migration.slots.length);
    } else if (event.type === 'shard.slots.assigned.v1') {
      const slots = event.moves.reduce((sum, move) => sum + move.slots.length, 0);
      this.#slotsMoved.inc({ ...of, cause: event.cause }, slots);
    }
  }

  status(config: ConfigName, status: DesiredStatus, openMigrations: number): void {
    const of = labels(config);
    this.#shards.set(of, status.shards);
    this.#ready.set(of, status.readyShards);
    if (status.load === undefined) this.#load.remove(of);
    else this.#load.set(of, status.load);
    this.#openMigrations.set(of, openMigrations);
    this.#coverage.set(of, status.coverage.coveragePercent / 100);
  }

  /** Drops the gauges of a ShardConfig that is gone or that another manager leads now. */
  forget(config: ConfigName): void {
    for (const gauge of [this.#shards, this.#ready, this.#load, this.#openMigrations, this.#coverage]) {
      gauge.remove(labels(config));
    }
  }
}

interface ConfigName {
  readonly namespace: string;
  readonly name: string;
}

const labels = ({ namespace, name }: ConfigName) => ({ namespace, shardconfig: name });
