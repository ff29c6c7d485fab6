import type { KsmScaleStatus } from '@shard-controller/shared/api';
import type { EventNote } from '@shard-controller/shared/kubernetes';
import type { Layout } from './layout.ts';
import type { PodPlan } from './pod-plan.ts';

/** What is worth a Kubernetes Event: changes, never states that last. */

export interface ChangeInput {
  readonly before: KsmScaleStatus | undefined;
  readonly after: KsmScaleStatus;
  readonly layout: Layout;
  readonly pods: PodPlan;
}

export function notesOf(change: ChangeInput): readonly EventNote[] {
  return [scaling(change), renewal(change), bound(change), ...conditionNotes(change)].filter(
    (note) => note !== undefined,
  );
}

function scaling({ before, after, layout }: ChangeInput): EventNote | undefined {
  const [from, to] = [before?.desiredReplicas, layout.desiredPods];
  if (from === to) return undefined;
  const reason = from === undefined || from < to ? 'ScaledUp' : 'ScaledDown';
  const note = `From ${from ?? 0} to ${to} pods for ${after.nodeCount ?? 0} nodes.`;
  return { type: 'Normal', reason, action: 'Scale', note };
}

function renewal({ pods }: ChangeInput): EventNote | undefined {
  const outdated = pods.remove.find(({ reason }) => reason === 'Outdated');
  if (outdated === undefined) return undefined;
  const { name } = outdated.pod;
  return {
    type: 'Normal',
    reason: 'PodReplaced',
    action: 'Replace',
    note: `${name} is replaced: its configuration is outdated.`,
  };
}

/** Said when the number of pods changes, because the bound is why it is not another one. */
function bound({ before, layout }: ChangeInput): EventNote | undefined {
  if (layout.held === undefined || before?.desiredReplicas === layout.desiredPods) return undefined;
  const { calculatedPods, desiredPods, servedShards, minPerShard, maxPerShard } = layout;
  const limit =
    layout.held === 'Minimum'
      ? `a minimum of ${minPerShard} for each of ${servedShards} shards makes it`
      : `a maximum of ${maxPerShard} for each of ${servedShards} shards makes it`;
  const note = `The nodes ask for ${calculatedPods} pods; ${limit} ${desiredPods}.`;
  return { type: 'Normal', reason: `${layout.held}Applied`, action: 'Scale', note };
}

/** Conditions that turned bad are warnings; Covered is told when it is good again, too. */
function conditionNotes({ before, after }: ChangeInput): readonly EventNote[] {
  const statusBefore = new Map(before?.conditions?.map(({ type, status, reason }) => [type, `${status} ${reason}`]));
  return (after.conditions ?? []).flatMap(({ type, status, reason, message }): readonly EventNote[] => {
    if (statusBefore.get(type) === `${status} ${reason}`) return [];
    if (type === 'Degraded' && status === 'True')
      return [{ type: 'Warning', reason, action: 'Reconcile', note: message }];
    if (type === 'Efficient' && status === 'False')
      return [{ type: 'Warning', reason, action: 'Evaluate', note: message }];
    if (type === 'Covered' && statusBefore.has(type)) {
      return [{ type: status === 'True' ? 'Normal' : 'Warning', reason, action: 'Cover', note: message }];
    }
    return [];
  });
}
