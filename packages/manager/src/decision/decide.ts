import {
  type Command,
  openMigrations,
  type ShardConfigState,
  type ShardEvent,
  type ShardObservation,
} from '../aggregate/index.ts';
import { type HealthTrigger, type HealthTable, healthTable } from '../health-monitor/index.ts';
import { balanceStateOf, type BalanceTable, balanceTable } from '../load-balancer/index.ts';
import {
  type MigrationTrigger,
  type MigrationTable,
  migrationTable,
  triggerOf,
  triggersFromState,
  tableStateOf,
} from '../migration/index.ts';
import { type ConfigTrigger, configStateOf, type ConfigTable, configTable } from '../orchestrator/index.ts';
import { rolloutStateOf, type RolloutTable, rolloutTable } from '../rollout/index.ts';
import { Draft } from './draft.ts';

/**
 * Outcome of a command. `decided` may be empty for a Tick. `rejected`: no state of the evaluated table handles the command
 * now; count and log it with `machine` and `reason`, change nothing.
 */
export type Decision =
  | { readonly kind: 'decided'; readonly events: readonly ShardEvent[] }
  | { readonly kind: 'rejected'; readonly machine: string; readonly reason: string };

/**
 * Decides about one command. Pure. Store `events` with expected sequence `state.sequence`, then fold each with the
 * sequence it was stored under: `evolve(state, event, sequence)`.
 */
export type Decide = (state: ShardConfigState, command: Command) => Decision;

/** The machines that decide. Every event comes out of one of their rows. */
export interface DecisionTables {
  readonly config: ConfigTable;
  readonly rollout: RolloutTable;
  readonly health: HealthTable;
  readonly balance: BalanceTable;
  readonly migration: MigrationTable;
}

export const standardTables: DecisionTables = {
  config: configTable,
  rollout: rolloutTable,
  health: healthTable,
  balance: balanceTable,
  migration: migrationTable,
};

/**
 * The tables keep deciding without end: a defect in their rows, never bad input.
 * @remedy this is a defect: report it with the log of the process.
 */
class EndlessDecisionError extends Error {
  readonly code = 'SC_ENDLESS_DECISION';
  override readonly name = 'EndlessDecisionError';
}

const MOST_ROUNDS = 100;

/**
 * A `Decide` that evaluates `tables`. The draft holds the state as it will be after the events decided so far. First the
 * table that the command belongs to answers it. Then the tables evaluate the draft again and again, in a fixed order, until a round
 * adds no event: so a lost worker leads to its failover, and the failover to new assignments, in one decision. Each row has
 * to make itself inapplicable by its own events, or the rounds would never end (`MOST_ROUNDS`).
 */
export function createDecide(tables: DecisionTables): Decide {
  return (state, command) => {
    const draft = new Draft(state, command);
    const rejected = answer(tables, draft, command);
    if (rejected !== undefined) return rejected;
    for (let round = 0; round < MOST_ROUNDS; round++) {
      const before = draft.events.length;
      followUp(tables, draft);
      if (draft.events.length === before || draft.isFull) return { kind: 'decided', events: draft.events };
    }
    const types = [...new Set(draft.events.map((event) => event.type))].join(', ');
    throw new EndlessDecisionError(`${command.type} on ShardConfig ${state.name}: it never ends: ${types}`);
  };
}

export const decide: Decide = createDecide(standardTables);

type Rejection = Extract<Decision, { kind: 'rejected' }>;

const reject = (machine: string, reason: string): Rejection => ({ kind: 'rejected', machine, reason });

function answer(tables: DecisionTables, draft: Draft, command: Command): Rejection | undefined {
  switch (command.type) {
    case 'ConfigObserved':
      return evaluateConfig(tables, draft, {
        type: 'CONFIG_OBSERVED',
        config: command.config,
        isRestored: command.isRestored === true,
      });
    case 'ConfigInvalid':
      return evaluateConfig(tables, draft, {
        type: 'CONFIG_INVALID',
        specGeneration: command.specGeneration,
        problems: command.problems,
        isRestored: command.isRestored === true,
      });
    case 'ConfigDeleted':
      return evaluateConfig(tables, draft, { type: 'CONFIG_DELETED' });
    case 'LogLost': {
      const { config, generation, instances, reason } = command;
      return evaluateConfig(tables, draft, { type: 'LOG_LOST', config, generation, instances, reason });
    }
    case 'ShardObserved': {
      const { observation } = command;
      const triggers: readonly HealthTrigger[] = [
        { type: 'REPORTED', observation },
        { type: TRIGGER_OF[observation.health], observation },
        ...(observation.shown === true ? [{ type: 'SLOTS_SHOWN', observation } as const] : []),
      ];
      return evaluateHealth(tables, draft, observation.shardId, triggers);
    }
    case 'StandbyReady': {
      const { observation } = command;
      return evaluateHealth(tables, draft, observation.shardId, [{ type: 'STANDBY_READY', standby: observation }]);
    }
    case 'PodGone':
      return evaluateHealth(tables, draft, command.shardId, [{ type: 'POD_GONE' }]);
    case 'HandoverObserved':
      return answerHandover(tables, draft, command);
    case 'VerificationFinished': {
      const type = command.equal ? 'VERIFIED' : 'MISMATCH';
      return evaluateMigration(tables, draft, command.migration, { type, detail: command.detail });
    }
    case 'ScrapersMoved':
      return evaluateMigration(tables, draft, command.migration, { type: 'SCRAPERS_MOVED', detail: command.detail });
    case 'Tick':
      return undefined;
  }
  return command satisfies never;
}

const TRIGGER_OF: Readonly<Record<ShardObservation['health'], HealthTrigger['type']>> = {
  Starting: 'STARTING',
  Healthy: 'HEALTHY',
  Suspect: 'SUSPECT',
  Failed: 'FAILED',
};

function evaluateConfig(tables: DecisionTables, draft: Draft, trigger: ConfigTrigger): Rejection | undefined {
  const { state, now } = draft;
  const from = configStateOf(state);
  const result = tables.config.evaluate(from, { state, now, view: draft.view }, trigger);
  if (draft.take(result)) return undefined;
  return reject(tables.config.config.id, `${trigger.type} changes nothing in state ${from}`);
}

/** Each of `triggers` may find a row; it is a rejection when none does. */
function evaluateHealth(
  tables: DecisionTables,
  draft: Draft,
  shardId: string,
  triggers: readonly HealthTrigger[],
): Rejection | undefined {
  const machine = tables.health.config.id;
  let taken = false;
  for (const trigger of triggers) {
    const shard = draft.state.shards[shardId];
    if (draft.view === undefined || shard === undefined) return reject(machine, `there is no ${shardId}`);
    taken = draft.take(tables.health.evaluate(shard.health, { view: draft.view, shard }, trigger)) || taken;
  }
  const names = triggers.map(({ type }) => type).join(' and ');
  return taken ? undefined : reject(machine, `${names} changes nothing for ${shardId}, ${draft.healthOf(shardId)}`);
}

function answerHandover(
  tables: DecisionTables,
  draft: Draft,
  command: Extract<Command, { type: 'HandoverObserved' }>,
): Rejection | undefined {
  const { shardId, handover } = command;
  const { migration: id, state } = handover;
  const migration = draft.state.migrations[id];
  // Not a migration's but a failover's release.
  if (migration === undefined && state === 'released') {
    return evaluateHealth(tables, draft, shardId, [{ type: 'RELEASED', release: id }]);
  }
  const trigger = migration === undefined ? undefined : triggerOf(migration, command);
  if (trigger === undefined) return reject(tables.migration.config.id, `${state} of ${shardId}: not of ${id}`);
  return evaluateMigration(tables, draft, id, trigger);
}

function evaluateMigration(
  tables: DecisionTables,
  draft: Draft,
  id: string,
  trigger: MigrationTrigger,
): Rejection | undefined {
  const machine = tables.migration.config.id;
  const migration = draft.state.migrations[id];
  if (draft.view === undefined || migration === undefined) return reject(machine, `no migration ${id} is open`);
  const from = tableStateOf(migration);
  if (draft.take(tables.migration.evaluate(from, { view: draft.view, migration }, trigger))) return undefined;
  return reject(machine, `${trigger.type} changes nothing for ${id} in ${from}`);
}

/** One round of what follows from the state: open migrations first, because a failover needs to know what they leave. */
function followUp(tables: DecisionTables, draft: Draft): void {
  for (const { id } of openMigrations(draft.state)) {
    const migration = draft.state.migrations[id];
    if (draft.view === undefined || migration === undefined) continue;
    const context = { view: draft.view, migration };
    const from = tableStateOf(migration);
    for (const trigger of triggersFromState(context)) {
      if (draft.take(tables.migration.evaluate(from, context, trigger))) break;
    }
    if (draft.isFull) return;
  }
  if (draft.view === undefined || draft.state.deleted) return;
  evaluateConfig(tables, draft, { type: 'EVALUATE' });
  draft.take(tables.rollout.evaluate(rolloutStateOf(draft.state), draft.view, { type: 'EVALUATE' }));
  if (draft.isFull) return;
  draft.take(tables.balance.evaluate(balanceStateOf(draft.state), draft.view, { type: 'EVALUATE' }));
}
