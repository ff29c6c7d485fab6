import { describe, expect, it } from 'vitest';
import {
  type DecisionTable,
  evolve,
  type Row,
  type ShardConfigState,
  type ShardEvent,
  shardEventSchema,
  type TableConfig,
} from '../aggregate/index.ts';
import { balanceStateOf } from '../load-balancer/index.ts';
import { tableStateOf } from '../migration/index.ts';
import { configStateOf } from '../orchestrator/index.ts';
import { rolloutStateOf } from '../rollout/index.ts';
import { createDecide, type Decide, type Decision, type DecisionTables, standardTables } from './decide.ts';
import type { RecordedDecision } from './testing/simulation.ts';
import { play, scenarios } from './testing/scenarios.ts';

interface Place {
  readonly table: keyof DecisionTables;
  /** undefined: a row of every state. */
  readonly state: string | undefined;
  readonly trigger: string;
  readonly index: number;
  readonly row: Row;
}

const tableNames = ['config', 'rollout', 'health', 'balance', 'migration'] as const;

/** Every row of a table, found in its configuration. */
function placesOf(table: keyof DecisionTables): Place[] {
  const { on, states } = standardTables[table].config;
  const groups = [
    [undefined, on] as const,
    ...Object.entries(states).map(([name, state]) => [name, state.on] as const),
  ];
  return groups.flatMap(([state, triggers]) =>
    Object.entries(triggers ?? {}).flatMap(([trigger, rows]) =>
      rows.map((row, index) => ({ table, state, trigger, index, row })),
    ),
  );
}

function withoutRow(config: TableConfig, { state, trigger, index }: Place): TableConfig {
  const cut = (on: TableConfig['on']): NonNullable<TableConfig['on']> => ({
    ...on,
    [trigger]: (on?.[trigger] ?? []).filter((_, i) => i !== index),
  });
  if (state === undefined) return { ...config, on: cut(config.on) };
  return { ...config, states: { ...config.states, [state]: { on: cut(config.states[state]?.on) } } };
}

function tablesWithout(place: Place): DecisionTables {
  const cut = (name: keyof DecisionTables): TableConfig => {
    const { config } = standardTables[name];
    return name === place.table ? withoutRow(config, place) : config;
  };
  return {
    config: standardTables.config.withRows(cut('config')),
    rollout: standardTables.rollout.withRows(cut('rollout')),
    health: standardTables.health.withRows(cut('health')),
    balance: standardTables.balance.withRows(cut('balance')),
    migration: standardTables.migration.withRows(cut('migration')),
  };
}

const recordings = scenarios.map((scenario) => play(scenario).decisions);

/** Whether `decide` says anything else than what was recorded, from the same state to the same command. */
const differs = (decide: Decide, recording: readonly RecordedDecision[]): boolean =>
  recording.some(({ state, command, decision }) => textOf(decide(state, command)) !== textOf(decision));

const textOf = (decision: Decision): string =>
  decision.kind === 'decided' ? JSON.stringify(decision.events) : decision.kind;

const disagreements: string[] = [];

/** `table`, noting each result whose events do not lead to the state that it names. */
function checked<Context, Trigger extends { readonly type: string }>(
  table: DecisionTable<Context, Trigger, ShardEvent>,
  before: (context: Context) => ShardConfigState,
  stateOf: (state: ShardConfigState, context: Context) => string,
): DecisionTable<Context, Trigger, ShardEvent> {
  return {
    ...table,
    evaluate(from, context, trigger) {
      const result = table.evaluate(from, context, trigger);
      if (result === undefined) return undefined;
      const state = before(context);
      const after = result.events.reduce((s, event) => evolve(s, event, state.sequence + 1), state);
      const to = stateOf(after, context);
      if (to !== result.to) disagreements.push(`${table.config.id}: ${from} ${trigger.type}: ${result.to}, not ${to}`);
      return result;
    },
  };
}

const checkedTables: DecisionTables = {
  config: checked(standardTables.config, ({ state }) => state, configStateOf),
  rollout: checked(standardTables.rollout, ({ state }) => state, rolloutStateOf),
  health: checked(
    standardTables.health,
    ({ view }) => view.state,
    ({ shards }, { shard }) => shards[shard.shardId]?.health ?? 'Removed',
  ),
  balance: checked(standardTables.balance, ({ state }) => state, balanceStateOf),
  migration: checked(
    standardTables.migration,
    ({ view }) => view.state,
    ({ migrations, owners }, { migration }) => {
      const open = migrations[migration.id];
      if (open !== undefined) return tableStateOf(open);
      return owners[migration.slots[0] ?? 0] === migration.source ? 'RolledBack' : 'Completed';
    },
  ),
};

describe('decision tables', () => {
  it('decide the same again from the same commands', () => {
    const whole = createDecide(standardTables);
    expect(recordings.filter((recording) => differs(whole, recording))).toEqual([]);
  });

  it('agree with evolve: the events of a row lead to the state that the row names', () => {
    const decide = createDecide(checkedTables);
    const wrong = recordings.flatMap((recording) => recording.map(({ state, command }) => decide(state, command).kind));
    expect(wrong.length).toBeGreaterThan(1_000);
    expect(disagreements).toEqual([]);
  });

  it('emit every type of event in some scenario', () => {
    const emitted = recordings.flat().flatMap(({ decision }) => (decision.kind === 'decided' ? decision.events : []));
    const known = shardEventSchema.options.map(({ shape }) => shape.type.value);
    expect(new Set(emitted.map((event) => event.type))).toEqual(new Set(known));
  });

  it.each(tableNames.flatMap(placesOf).map((place) => [describePlace(place), place] as const))(
    'need the row %s',
    (_, place) => {
      const decide = createDecide(tablesWithout(place));
      expect(recordings.some((recording) => differs(decide, recording))).toBe(true);
    },
    20_000,
  );
});

function describePlace({ table, state, trigger, index, row }: Place): string {
  const guard = row.guard === undefined ? '' : ` [${row.guard}]`;
  return `${table}: ${state ?? 'any state'} ${trigger}#${index}${guard} -> ${row.actions}`;
}
