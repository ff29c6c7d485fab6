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

/** What the rows' names mean. Guards and decisions are pure functions of the context and the trigger. */
export interface TableImplementations<Context, Trigger extends { readonly type: string }, Event> {
  readonly guards: Readonly<Record<string, (context: Context, trigger: Trigger) => boolean>>;
  readonly decisions: Readonly<Record<string, (context: Context, trigger: Trigger) => readonly Event[]>>;
}

export interface TableResult<Event> {
  readonly to: string;
  readonly events: readonly Event[];
}

/** A machine used as a pure decision table; it keeps no state of its own. */
export interface DecisionTable<Context, Trigger extends { readonly type: string }, Event> {
  readonly config: TableConfig;
  /** The same implementations with other rows: for tests that ask what each row is for. */
  withRows(config: TableConfig): DecisionTable<Context, Trigger, Event>;
  /** The result on `trigger` in `state`, or undefined when no row handles it. */
  evaluate(state: string, context: Context, trigger: Trigger): TableResult<Event> | undefined;
}

/**
 * Rows of a decision table name a guard or decision without an implementation.
 * @remedy this is a defect: report it with the log of the process.
 */
export class DecisionTableError extends Error {
  readonly code = 'SC_DECISION_TABLE';
  override readonly name = 'DecisionTableError';
}

export function decisionTable<Context, Trigger extends { readonly type: string }, Event>(
  config: TableConfig,
  implementations: TableImplementations<Context, Trigger, Event>,
): DecisionTable<Context, Trigger, Event> {
  checkNames(config, implementations);
  const machine = toMachine(config, implementations.guards);
  return {
    config,
    withRows: (rows) => decisionTable(rows, implementations),
    evaluate(state, context, trigger) {
      const snapshot = machine.resolveState({ value: state, context: { given: context } });
      const [next, actions] = transition(machine, snapshot, { type: trigger.type, trigger });
      const decision = actions[0];
      if (decision === undefined) return undefined;
      const to = typeof next.value === 'string' ? next.value : state;
      return { to, events: implementations.decisions[decision.type]?.(context, trigger) ?? [] };
    },
  };
}

/** Context and trigger travel through xstate as opaque values: its guards get them back unchanged. */
function toMachine<Context, Trigger>(
  config: TableConfig,
  guards: Readonly<Record<string, (context: Context, trigger: Trigger) => boolean>>,
) {
  const types: {
    context?: { given: Context };
    input?: { given: Context };
    events?: { type: string; trigger: Trigger };
  } = {};
  const rows = (list: readonly Row[]) =>
    list.map(({ guard, target, actions }) => ({
      ...(guard === undefined
        ? {}
        : {
            guard: ({ context: { given }, event }: { context: { given: Context }; event: { trigger: Trigger } }) =>
              guards[guard]?.(given, event.trigger) ?? false,
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
  implementations: {
    readonly guards: Readonly<Record<string, unknown>>;
    readonly decisions: Readonly<Record<string, unknown>>;
  },
): void {
  for (const row of rowsOf(config)) {
    const { guard, actions } = row;
    if (guard !== undefined && implementations.guards[guard] === undefined) {
      throw new DecisionTableError(`table ${config.id}: no guard "${guard}"; add it to the implementations`);
    }
    if (implementations.decisions[actions] === undefined) {
      throw new DecisionTableError(`table ${config.id}: no decision "${actions}"; add it to the implementations`);
    }
  }
}

function rowsOf(config: TableConfig): readonly Row[] {
  return [config, ...Object.values(config.states)].flatMap(({ on }) => Object.values(on ?? {}).flat());
}
