import {
  awaitedShards,
  type DecisionTable,
  decisionTable,
  failedOwners,
  failoverTargets,
  type ShardConfigState,
  type ShardEvent,
  slotsOf,
  type TableConfig,
  targetsOf,
  type View,
} from '../aggregate/index.ts';
import {
  causeOf,
  evacuation,
  hasRoomFor,
  isMassFailure,
  orphans,
  plannedMigrations,
  rebalancing,
  rebalancingHold,
  failoverPlacement,
  seconds,
  stalledStarts,
  type Transfer,
} from './placement.ts';

/** "Look whether slots should have other owners." */
interface BalanceTrigger {
  readonly type: 'EVALUATE';
}

export type BalanceTable = DecisionTable<View, BalanceTrigger, ShardEvent>;

/** Lost slots come first, then shards that are about to leave, then balance. */
const config: TableConfig = {
  id: 'load-balancer',
  initial: 'Unassigned',
  states: {
    Unassigned: {
      on: { EVALUATE: [{ guard: 'firstShardsReady', target: 'Assigned', actions: 'assignFirst' }] },
    },
    Assigned: {
      on: {
        EVALUATE: [
          { guard: 'massFailureBegins', actions: 'holdFailover' },
          { guard: 'failoverDue', actions: 'failOver' },
          { guard: 'holdPointless', actions: 'resumeFailover' },
          { guard: 'startStalled', actions: 'replaceStalled' },
          { guard: 'evacuationDue', actions: 'evacuate' },
          { guard: 'rebalanceDue', actions: 'rebalance' },
        ],
      },
    },
  },
};

export const balanceTable: BalanceTable = decisionTable<View, BalanceTrigger, ShardEvent>(config, {
  guards: {
    // Slots must never wait for ever: after the grace those that are there begin.
    firstShardsReady: (view) => targetsOf(view.state).length > 0 && awaitedShards(view).length === 0,
    massFailureBegins: (view) =>
      view.state.failover.held === null &&
      failedOwners(view.state).length > 0 &&
      isMassFailure(view) &&
      !hasRoomFor(view, orphans(view)),
    failoverDue: (view) =>
      orphans(view).size > 0 &&
      failoverTargets(view.state).length > 0 &&
      (view.state.failover.held === null ||
        view.now >= view.state.failover.held.until ||
        hasRoomFor(view, orphans(view))),
    holdPointless: ({ state }) => state.failover.held !== null && failedOwners(state).length === 0,
    startStalled: (view) => stalledStarts(view).length > 0,
    evacuationDue: (view) => evacuation(view).length > 0,
    rebalanceDue: (view) => rebalancingHold(view) === undefined && rebalancing(view).length > 0,
  },
  decisions: {
    assignFirst: (view) => assign(view, failoverPlacement(view, orphans(view)), 'cold-start', firstReason(view)),
    holdFailover: (view) => holdFailover(view),
    failOver: (view) =>
      failedOwners(view.state).length === 0 && view.state.failover.held === null
        ? assign(view, failoverPlacement(view, orphans(view)), 'cold-start', 'the other slots that have no owner yet')
        : assign(view, failoverPlacement(view, orphans(view)), 'failover', failoverReason(view)),
    resumeFailover: ({ now }) => [
      { type: 'shard.failover.resumed.v1', at: now, reason: 'the failed shards are back or no longer own slots' },
    ],
    replaceStalled: (view) =>
      assign(view, stalledStarts(view), 'stalled-start', 'the start of their shard made no progress for too long'),
    evacuate: (view) =>
      plannedMigrations(view, evacuation(view), ({ from }) => ({
        cause: 'drain',
        reason: `${from ?? 'the source'} terminates`,
      })),
    rebalance: (view) => {
      const plan = rebalancing(view);
      const moved = plan.reduce((sum, { slots }) => sum + slots.length, 0);
      return plannedMigrations(view, plan, (transfer) => ({
        cause: causeOf(view, transfer),
        reason: `${transfer.slots.length} of ${moved} slots to balance ${targetsOf(view.state).length} shards`,
      }));
    },
  },
});

/** State of the table that the aggregate is in. */
export const balanceStateOf = (state: ShardConfigState): string =>
  state.owners.every((owner) => owner === null) ? 'Unassigned' : 'Assigned';

/** Most moves of one event, which has to fit into a message of the log; the other slots follow at once. */
const MOST_MOVES = 256;

function assign(
  view: View,
  transfers: readonly Transfer[],
  cause: 'cold-start' | 'failover' | 'stalled-start',
  reason: string,
): readonly ShardEvent[] {
  const { state, now } = view;
  const moves = transfers.slice(0, MOST_MOVES);
  const losers = [...new Set(moves.map(({ from }) => from))].filter((from) => from !== null);
  return [
    {
      type: 'shard.slots.assigned.v1',
      at: now,
      cause,
      moves: moves.map(({ from, to, slots: moved }) => ({ from, to, slots: [...moved] })),
      releaseWhen: 'shown',
      releases: losers.map((shardId, i) => ({ shardId, id: `g${state.generation}-r${state.nextMigration + i}` })),
      reason,
    },
  ];
}

function firstReason(view: View): string {
  const ready = targetsOf(view.state).length;
  const { desiredShards } = view.state;
  return ready === desiredShards
    ? `all ${ready} shards are ready`
    : `${ready} of ${desiredShards} shards are ready and the wait for the others is over`;
}

function failoverReason(view: View): string {
  const { held } = view.state.failover;
  const lost = failedOwners(view.state).map(({ shardId }) => shardId);
  const what = lost.length === 0 ? 'slots had no owner' : `${lost.join(', ')} failed`;
  if (held === null) return what;
  return `${what}; ${view.now >= held.until ? 'the wait is over' : 'the others have capacity now'}`;
}

function holdFailover(view: View): readonly ShardEvent[] {
  const { state, settings, now } = view;
  const shards = failedOwners(state).map(({ shardId }) => shardId);
  const slots = shards.reduce((sum, shardId) => sum + slotsOf(state, shardId).length, 0);
  return [
    {
      type: 'shard.failover.held.v1',
      at: now,
      shards,
      until: now + settings.failover.massHoldMs,
      reason:
        `many shards failed within ${seconds(settings.failover.massWindowMs)}: ${slots} slots of ${shards.join(', ')} ` +
        `wait for capacity or ${seconds(settings.failover.massHoldMs)}`,
    },
  ];
}
