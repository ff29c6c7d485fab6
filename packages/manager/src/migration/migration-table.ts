import {
  type DecisionTable,
  decisionTable,
  failuresOf,
  isWanted,
  type MigrationState,
  openMigrations,
  type ShardEvent,
  type TableConfig,
  type View,
} from '../aggregate/index.ts';

/** What happens to one migration. `detail` is for people. */
export interface MigrationTrigger {
  readonly type:
    | 'START'
    | 'WARMING'
    | 'ACKNOWLEDGED'
    | 'TARGET_FAILED'
    | 'VERIFIED'
    | 'MISMATCH'
    | 'SCRAPERS_MOVED'
    | 'RELEASED'
    | 'DEADLINE'
    | 'SOURCE_LOST'
    | 'TARGET_LOST'
    | 'TARGET_UNWANTED';
  readonly detail: string;
  /** With ACKNOWLEDGED: on the target worker's clock. */
  readonly acknowledgedAt?: number;
  readonly objects?: number;
}

export interface MigrationContext {
  readonly view: View;
  readonly migration: MigrationState;
}

export type MigrationTable = DecisionTable<MigrationContext, MigrationTrigger, ShardEvent>;

/** A target that is gone, or that should no longer have the slots, ends every migration that is not committed. */
const givenUp = {
  TARGET_LOST: [{ target: 'RolledBack', actions: 'rollBack' }],
  TARGET_UNWANTED: [{ target: 'RolledBack', actions: 'rollBack' }],
};

/** Once the target has the slots as warm, a dead source makes it responsible at once; no shard could load them faster. */
const begun = {
  ...givenUp,
  SOURCE_LOST: [{ target: 'Releasing', actions: 'commit' }],
  TARGET_FAILED: [{ target: 'RolledBack', actions: 'rollBackAndWait' }],
};

/** `Releasing` is the step Cleanup after the commit. */
const config: TableConfig = {
  id: 'migration',
  initial: 'Planning',
  states: {
    Planning: {
      on: {
        ...givenUp,
        SOURCE_LOST: [{ target: 'RolledBack', actions: 'rollBack' }],
        START: [{ guard: 'hasTurn', target: 'Preparation', actions: 'start' }],
      },
    },
    Preparation: {
      on: {
        ...begun,
        DEADLINE: [{ target: 'RolledBack', actions: 'rollBackAndWait' }],
        WARMING: [{ target: 'Transfer', actions: 'transfer' }],
        ACKNOWLEDGED: [{ target: 'Verification', actions: 'acknowledge' }],
      },
    },
    Transfer: {
      on: {
        ...begun,
        DEADLINE: [{ target: 'RolledBack', actions: 'rollBackAndWait' }],
        ACKNOWLEDGED: [{ target: 'Verification', actions: 'acknowledge' }],
      },
    },
    Verification: {
      on: {
        ...begun,
        DEADLINE: [{ target: 'RolledBack', actions: 'rollBackAndWait' }],
        VERIFIED: [{ target: 'Cleanup', actions: 'verify' }],
        MISMATCH: [{ target: 'RolledBack', actions: 'rollBackAndWait' }],
        // Its process restarted: it exposes nothing of what it had acknowledged.
        WARMING: [{ target: 'RolledBack', actions: 'rollBackAndWait' }],
      },
    },
    Cleanup: {
      on: {
        ...begun,
        DEADLINE: [
          { guard: 'targetServes', target: 'Releasing', actions: 'commit' },
          { target: 'RolledBack', actions: 'rollBackAndWait' },
        ],
        SCRAPERS_MOVED: [{ target: 'Releasing', actions: 'commit' }],
        // It was equal before its scrapers moved; what has come since is not there.
        MISMATCH: [{ target: 'RolledBack', actions: 'rollBackAndWait' }],
        WARMING: [{ target: 'RolledBack', actions: 'rollBackAndWait' }],
      },
    },
    Releasing: {
      on: {
        RELEASED: [{ target: 'Completed', actions: 'complete' }],
        SOURCE_LOST: [{ target: 'Completed', actions: 'completeWithoutSource' }],
        // It still has to release, but nothing else waits for it now.
        DEADLINE: [{ target: 'Completed', actions: 'completeWithoutSource' }],
      },
    },
    Completed: {},
    RolledBack: {},
  },
};

const FIRST_WAIT_MS = 5_000;
const LONGEST_WAIT_MS = 60_000;

export const migrationTable: MigrationTable = decisionTable(config, {
  guards: {
    hasTurn: ({ view }) =>
      openMigrations(view.state).filter((m) => m.step !== 'Planning' && !m.committed).length <
      view.settings.rebalance.maxConcurrentMigrations,
    targetServes: ({ view, migration }) => view.state.shards[migration.target]?.health === 'Healthy',
  },
  decisions: {
    start: ({ view: { now, settings }, migration: { id } }) => [
      {
        type: 'shard.migration.started.v1',
        at: now,
        id,
        deadline: now + settings.handover.preparationTimeoutMs,
      },
    ],
    transfer: ({ view: { now, settings }, migration: { id } }) => [
      {
        type: 'shard.migration.transferring.v1',
        at: now,
        id,
        deadline: now + settings.handover.transferTimeoutMs,
      },
    ],
    acknowledge: ({ view: { now, settings }, migration: { id } }, { acknowledgedAt, objects }) => [
      {
        type: 'shard.migration.acknowledged.v1',
        at: now,
        id,
        acknowledgedAt: acknowledgedAt ?? now,
        objects: objects ?? 0,
        deadline: now + settings.handover.verificationTimeoutMs,
      },
    ],
    verify: ({ view: { now, settings }, migration: { id } }, { detail }) => [
      {
        type: 'shard.migration.verified.v1',
        at: now,
        id,
        deadline: now + settings.handover.maxOverlapMs,
        detail,
      },
    ],
    commit: ({ view: { now }, migration: { id } }, trigger) => [
      { type: 'shard.migration.committed.v1', at: now, id, because: becauseOf(trigger), reason: trigger.detail },
    ],
    complete: ({ view: { now }, migration: { id, plannedAt } }) => [
      {
        type: 'shard.migration.completed.v1',
        at: now,
        id,
        durationMs: Math.max(0, now - plannedAt),
        released: true,
      },
    ],
    completeWithoutSource: ({ view: { now, state }, migration: { id, plannedAt, source } }) => [
      {
        type: 'shard.migration.completed.v1',
        at: now,
        id,
        durationMs: Math.max(0, now - plannedAt),
        released: false,
        ...(state.shards[source] === undefined
          ? {}
          : { release: `g${state.generation}-r${state.nextMigration}`, releaseWhen: 'shown' as const }),
      },
    ],
    rollBack: (context, trigger) => [rolledBack(context, trigger, 0)],
    // The longer it keeps failing, the longer until the next try.
    rollBackAndWait: (context, trigger) => [
      rolledBack(context, trigger, Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** failuresBefore(context))),
    ],
  },
});

const failuresBefore = ({ view: { state, now }, migration: { source, target } }: MigrationContext): number =>
  failuresOf(state, source, target, now);

function rolledBack(
  { view: { now }, migration }: MigrationContext,
  { detail }: MigrationTrigger,
  waitMs: number,
): ShardEvent {
  const { id, step } = migration;
  return { type: 'shard.migration.rolledback.v1', at: now, id, step, reason: detail, retryAt: now + waitMs };
}

function becauseOf({ type }: MigrationTrigger): 'scraped' | 'overlap-expired' | 'source-lost' {
  if (type === 'SCRAPERS_MOVED') return 'scraped';
  return type === 'SOURCE_LOST' ? 'source-lost' : 'overlap-expired';
}

/** State of the table that `migration` is in. */
export function tableStateOf(migration: MigrationState): string {
  return migration.committed ? 'Releasing' : migration.step;
}

/** What the state itself says about a migration, most pressing first; the first that a row handles counts. */
export function triggersFromState({ view: { state, now }, migration }: MigrationContext): readonly MigrationTrigger[] {
  const source = state.shards[migration.source];
  const target = state.shards[migration.target];
  const triggers: MigrationTrigger[] = [];
  if (target === undefined || target.health === 'Failed') {
    triggers.push({ type: 'TARGET_LOST', detail: `target ${migration.target} is lost` });
  }
  if (source === undefined || source.health === 'Failed') {
    triggers.push({ type: 'SOURCE_LOST', detail: `source ${migration.source} is lost` });
  }
  if (target !== undefined && (target.draining || !isWanted(state, target))) {
    const why = target.draining ? 'terminates' : 'is no longer wanted';
    triggers.push({ type: 'TARGET_UNWANTED', detail: `target ${migration.target} ${why}` });
  }
  if (migration.deadline !== null && migration.deadline <= now) {
    triggers.push({ type: 'DEADLINE', detail: deadlineText(migration) });
  }
  if (migration.step === 'Planning') triggers.push({ type: 'START', detail: 'its turn' });
  return triggers;
}

function deadlineText({ step, committed, source, target }: MigrationState): string {
  if (committed) return `source ${source} did not release in time`;
  if (step === 'Preparation') return `target ${target} did not begin to warm in time`;
  if (step === 'Transfer') return `target ${target} did not finish warming in time`;
  if (step === 'Verification') return `${source} and ${target} did not answer the verification in time`;
  return `some scraper of ${source} did not read ${target} within the longest overlap`;
}
