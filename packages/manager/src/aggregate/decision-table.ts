import { createMachine, transition } from 'xstate';

/** One row: in a state, on a trigger, if the guard holds: decide, and go to `target` (absent: stay). */
export interface Row {
  readonly guard?: string;
  readonly target?: string;
  /** Name of the decision, the only action of a row. */
  readonly actions: string;
}

/** An xstate machine as plain data: no timers, no actors, no effects. The first row of a trigger whose guard holds wins. */
export interface TableConfig {
  readonly id: string;
  readonly initial: string;
  /** Rows that hold in every state. */
  readonly on?: Readonly<Record<string, readonly Row[]>>;
  readonly states: Readonly<Record<string, { readonly on?: Readonly<Record<string, readonly Row[]>> }>>;
}

/** What the rows' names mean. Guards and decisions are pure functions of the facts and the trigger. */
export interface TableMeaning<Facts, Trigger extends { readonly type: string }, Event> {
  readonly guards: Readonly<Record<string, (facts: Facts, trigger: Trigger) => boolean>>;
  readonly decisions: Readonly<Record<string, (facts: Facts, trigger: Trigger) => readonly Event[]>>;
}

export interface Verdict<Event> {
  readonly to: string;
  readonly events: readonly Event[];
}

/** A machine used as a pure decision table; it keeps no state of its own. */
export interface DecisionTable<Facts, Trigger extends { readonly type: string }, Event> {
  readonly config: TableConfig;
  /** The same meaning with other rows: for tests that ask what each row is for. */
  withRows(config: TableConfig): DecisionTable<Facts, Trigger, Event>;
  /** The verdict on `trigger` in `state`, or undefined when no row handles it. */
  ask(state: string, facts: Facts, trigger: Trigger): Verdict<Event> | undefined;
}

/** Thrown at construction when rows name a guard or decision that has no meaning. */
export class DecisionTableError extends Error {
  readonly code = 'SC_DECISION_TABLE';
  override readonly name = 'DecisionTableError';
}

export function decisionTable<Facts, Trigger extends { readonly type: string }, Event>(
  config: TableConfig,
  meaning: TableMeaning<Facts, Trigger, Event>,
): DecisionTable<Facts, Trigger, Event> {
  checkNames(config, meaning);
  const machine = toMachine(config, meaning.guards);
  return {
    config,
    withRows: (rows) => decisionTable(rows, meaning),
    ask(state, facts, trigger) {
      const snapshot = machine.resolveState({ value: state, context: { facts } });
      const [next, actions] = transition(machine, snapshot, { type: trigger.type, trigger });
      const decision = actions[0];
      if (decision === undefined) return undefined;
      const to = typeof next.value === 'string' ? next.value : state;
      return { to, events: meaning.decisions[decision.type]?.(facts, trigger) ?? [] };
    },
  };
}

/** Facts and trigger travel through xstate as opaque values: its guards get them back unchanged. */
function toMachine<Facts, Trigger>(
  config: TableConfig,
  guards: Readonly<Record<string, (facts: Facts, trigger: Trigger) => boolean>>,
) {
  const types: {
    context?: { facts: Facts };
    input?: { facts: Facts };
    events?: { type: string; trigger: Trigger };
  } = {};
  const rows = (list: readonly Row[]) =>
    list.map(({ guard, target, actions }) => ({
      ...(guard === undefined
        ? {}
        : {
            guard: ({ context, event }: { context: { facts: Facts }; event: { trigger: Trigger } }) =>
              guards[guard]?.(context.facts, event.trigger) ?? false,
          }),
      ...(target === undefined ? {} : { target }),
      actions: { type: actions },
    }));
  const on = (all: TableConfig['on']) =>
    Object.fromEntries(Object.entries(all ?? {}).map(([trigger, list]) => [trigger, rows(list)]));
  return createMachine({
    types,
    id: config.id,
    context: ({ input }) => input,
    initial: config.initial,
    on: on(config.on),
    states: Object.fromEntries(Object.entries(config.states).map(([name, state]) => [name, { on: on(state.on) }])),
  });
}

function checkNames(
  config: TableConfig,
  meaning: {
    readonly guards: Readonly<Record<string, unknown>>;
    readonly decisions: Readonly<Record<string, unknown>>;
  },
): void {
  for (const row of rowsOf(config)) {
    const { guard, actions } = row;
    if (guard !== undefined && meaning.guards[guard] === undefined) {
      throw new DecisionTableError(`table ${config.id}: no guard "${guard}"; add it to the table's meaning`);
    }
    if (meaning.decisions[actions] === undefined) {
      throw new DecisionTableError(`table ${config.id}: no decision "${actions}"; add it to the table's meaning`);
    }
  }
}

function rowsOf(config: TableConfig): readonly Row[] {
  return [config, ...Object.values(config.states)].flatMap(({ on }) => Object.values(on ?? {}).flat());
}
