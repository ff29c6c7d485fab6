import {
  type DecisionTable,
  decisionTable,
  type Health,
  isIdle,
  isWanted,
  keepersFor,
  type MigrationId,
  type ShardConfigState,
  type ShardEvent,
  type ShardObservation,
  type ShardState,
  slotsToRelease,
  type StandbyObservation,
  type TableConfig,
  type View,
} from '../aggregate/index.ts';
import { endsKeeping, isCaughtUp } from './shard-command.ts';
import { takeoverReasons } from './takeover.ts';

export interface HealthTrigger {
  /**
   * STARTING to FAILED: the observed health. REPORTED: revision and draining. SLOTS_SHOWN: everything that it is responsible for
   * is in its exposition. RELEASED: it let go of the slots that it had lost. POD_GONE: no pod exists. STANDBY_READY: the other replica could serve at once, and this one does not serve, or should not.
   */
  readonly type:
    | 'STARTING'
    | 'HEALTHY'
    | 'SUSPECT'
    | 'FAILED'
    | 'REPORTED'
    | 'SLOTS_SHOWN'
    | 'RELEASED'
    | 'POD_GONE'
    | 'STANDBY_READY';
  readonly observation?: ShardObservation;
  /** With RELEASED: the release that it answers. */
  readonly release?: MigrationId;
  /** With STANDBY_READY. */
  readonly standby?: StandbyObservation;
}

interface HealthContext {
  readonly view: View;
  readonly shard: ShardState;
}

export type HealthTable = DecisionTable<HealthContext, HealthTrigger, ShardEvent>;

const config: TableConfig = {
  id: 'health-monitor',
  initial: 'Pending',
  on: {
    REPORTED: [{ guard: 'isNews', actions: 'report' }],
    SLOTS_SHOWN: [{ guard: 'isAwaited', actions: 'letRelease' }],
    RELEASED: [{ guard: 'isItsRelease', actions: 'confirmRelease' }],
    // The shard stays what it is: its health is the active worker's, which is another one from now on.
    STANDBY_READY: [
      { guard: 'activeIsLost', actions: 'replaceLost' },
      { guard: 'activeTerminates', actions: 'replaceTerminating' },
      { guard: 'activeIsOutdated', actions: 'replaceOutdated' },
      { guard: 'activeIsSurplus', actions: 'replaceSurplus' },
    ],
    POD_GONE: [{ guard: 'isUnwanted', target: '.Removed', actions: 'remove' }],
  },
  states: {
    Pending: {
      on: {
        HEALTHY: [{ target: 'Healthy', actions: 'becomeHealthy' }],
        // A shard without slots cannot fail anybody; it stays a starting one.
        FAILED: [{ guard: 'isNeeded', target: 'Failed', actions: 'fail' }],
      },
    },
    Healthy: {
      on: {
        STARTING: [{ target: 'Pending', actions: 'restart' }],
        SUSPECT: [{ target: 'Suspect', actions: 'suspect' }],
        FAILED: [
          { guard: 'isNeeded', target: 'Failed', actions: 'fail' },
          { target: 'Pending', actions: 'restart' },
        ],
      },
    },
    Suspect: {
      on: {
        STARTING: [{ target: 'Pending', actions: 'restart' }],
        HEALTHY: [{ target: 'Healthy', actions: 'becomeHealthy' }],
        FAILED: [
          { guard: 'isNeeded', target: 'Failed', actions: 'fail' },
          { target: 'Pending', actions: 'restart' },
        ],
      },
    },
    Failed: {
      on: {
        STARTING: [{ target: 'Recovering', actions: 'recover' }],
        HEALTHY: [{ target: 'Recovering', actions: 'recover' }],
      },
    },
    Recovering: {
      on: {
        HEALTHY: [{ guard: 'hasCaughtUp', target: 'Healthy', actions: 'becomeHealthy' }],
        // It was dead a moment ago: being silent again is no new suspicion.
        SUSPECT: [{ target: 'Failed', actions: 'fail' }],
        FAILED: [{ target: 'Failed', actions: 'fail' }],
      },
    },
    Removed: {},
  },
};

const becomes =
  (to: Health) =>
  ({ view, shard }: HealthContext, { observation }: HealthTrigger): readonly ShardEvent[] => [
    {
      type: 'shard.health.changed.v1',
      at: view.now,
      shardId: shard.shardId,
      from: shard.health,
      to,
      evidence: [...(observation?.evidence ?? [])],
    },
  ];

type Promotion = Extract<ShardEvent, { type: 'shard.standby.promoted.v1' }>;

const promotes =
  (cause: Promotion['cause'], why: string) =>
  ({ view, shard }: HealthContext, { standby }: HealthTrigger): readonly ShardEvent[] => {
    if (standby === undefined) return [];
    const reason = [`${shard.shardId}/${shard.active} ${why}`, ...standby.evidence].join('; ').slice(0, 500);
    const { shardId, active: from } = shard;
    return [{ type: 'shard.standby.promoted.v1', at: view.now, shardId, from, to: standby.replica, cause, reason }];
  };

const because =
  (reason: (state: ShardConfigState, standby: StandbyObservation) => boolean) =>
  ({ view }: HealthContext, { standby }: HealthTrigger): boolean =>
    standby !== undefined && reason(view.state, standby);

export const healthTable: HealthTable = decisionTable<HealthContext, HealthTrigger, ShardEvent>(config, {
  guards: {
    activeIsLost: because(takeoverReasons.isLost),
    activeTerminates: because(takeoverReasons.terminates),
    activeIsOutdated: because(takeoverReasons.isOutdated),
    activeIsSurplus: because(takeoverReasons.isSurplus),
    isNews: ({ shard }, { observation: o }) =>
      o !== undefined && o.revision !== '' && (o.revision !== shard.revision || o.draining !== shard.draining),
    isAwaited: ({ view }, { observation }) => observation !== undefined && endsKeeping(view.state, observation),
    isItsRelease: ({ shard }, { release }) => shard.stale?.id === release && slotsToRelease(shard).length > 0,
    isUnwanted: ({ view, shard }) => !isWanted(view.state, shard) && isIdleOrDead(view, shard),
    isNeeded: ({ view, shard }) => !isIdle(view.state, shard),
    hasCaughtUp: ({ view, shard }, { observation: o }) => o !== undefined && isCaughtUp(view.state, shard, o),
  },
  decisions: {
    report: ({ view, shard: { shardId } }, { observation }) => [
      {
        type: 'shard.reported.v1',
        at: view.now,
        shardId,
        revision: observation?.revision ?? '',
        draining: observation?.draining ?? false,
      },
    ],
    letRelease: ({ view: { state, now }, shard: { shardId } }) => [
      {
        type: 'shard.slots.shown.v1',
        at: now,
        shardId,
        releases: keepersFor(state, shardId).map((keeper, i) => ({
          shardId: keeper.shardId,
          id: `g${state.generation}-r${state.nextMigration + i}`,
        })),
      },
    ],
    confirmRelease: ({ view, shard: { shardId } }, { release }) => [
      { type: 'shard.release.confirmed.v1', at: view.now, shardId, id: release ?? '' },
    ],
    remove: ({ view, shard: { shardId } }) => [{ type: 'shard.removed.v1', at: view.now, shardId }],
    replaceLost: promotes('lost', 'does not serve'),
    replaceTerminating: promotes('terminating', 'terminates'),
    replaceOutdated: promotes('outdated', 'runs an outdated template'),
    replaceSurplus: promotes('surplus', 'is no longer wanted'),
    becomeHealthy: becomes('Healthy'),
    restart: becomes('Pending'),
    suspect: becomes('Suspect'),
    fail: becomes('Failed'),
    recover: becomes('Recovering'),
  },
});

/** A dead shard without slots may still have some to release, but its pod is gone, and with it what it exposed. */
function isIdleOrDead({ state }: View, shard: ShardState): boolean {
  return isIdle(state, { ...shard, stale: null });
}
