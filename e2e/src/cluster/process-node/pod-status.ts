import { isDeepStrictEqual } from 'node:util';
import { type ContainerStatus, timestamp } from './container-status.ts';
import type { Pod, PodStatus } from './pod.ts';

export interface PodFacts {
  readonly podIp: string | undefined;
  readonly hostIp: string;
  readonly startedAt: string;
  readonly containers: readonly ContainerStatus[];
  /** All containers ended for good and none will be started. */
  readonly over: boolean;
  /** When the pod cannot be set up. */
  readonly problem?: string | undefined;
}

interface Condition {
  readonly type: string;
  readonly status: 'True' | 'False';
  readonly lastTransitionTime: string;
  readonly reason: string | null;
  readonly message: string | null;
}

/** The patch merges addresses too; a pod has one, and after the loss of its node another. */
const REPLACE = { $patch: 'replace' };

/** The status of a pod as this node sees it, as a strategic merge patch; transition times are taken over from `live` where nothing changed. */
export function desiredStatus(facts: PodFacts, live: PodStatus | undefined, nowMs: number): Record<string, unknown> {
  const unready = facts.containers.filter((container) => !container.ready).map((container) => container.name);
  const phase = phaseOf(facts);
  const networked = facts.podIp !== undefined;
  const condition = (type: string, good: boolean, reason?: string, message?: string): Condition => {
    const status = good ? 'True' : 'False';
    const before = live?.conditions?.find((candidate) => candidate.type === type);
    const kept = before?.status === status ? before['lastTransitionTime'] : undefined;
    return {
      type,
      status,
      lastTransitionTime: typeof kept === 'string' ? kept : timestamp(nowMs),
      // The patch merges conditions by type: what is not taken back would stay.
      reason: good ? null : (reason ?? null),
      message: good ? null : (message ?? null),
    };
  };
  const ready = unready.length === 0 && facts.problem === undefined && networked;
  const why = facts.problem ?? `containers with unready status: [${unready.join(' ')}]`;
  return {
    phase,
    hostIP: facts.hostIp,
    hostIPs: [REPLACE, { ip: facts.hostIp }],
    ...(facts.podIp === undefined ? {} : { podIP: facts.podIp, podIPs: [REPLACE, { ip: facts.podIp }] }),
    startTime: facts.startedAt,
    conditions: [
      condition('PodReadyToStartContainers', networked),
      condition('Initialized', true),
      condition('PodScheduled', true),
      condition('ContainersReady', ready, 'ContainersNotReady', why),
      condition('Ready', ready, 'ContainersNotReady', why),
    ],
    containerStatuses: facts.containers,
  };
}

/**
 * Whether the API server already has it. Compared with the live object, not with what was written last: the node
 * controller overwrites conditions of a node that was silent, and they must be put right again.
 */
export function isCurrent(desired: Record<string, unknown>, live: PodStatus | undefined): boolean {
  return live !== undefined && isDeepStrictEqual(essence(desired), essence(live));
}

function essence(status: Readonly<Record<string, unknown>>): unknown {
  const conditions = array(status['conditions'])
    .filter((condition) => OWN_CONDITIONS.has(String(condition['type'])))
    .map((condition) => `${String(condition['type'])}=${String(condition['status'])}`)
    .toSorted();
  const containers = array(status['containerStatuses']).map((container) => ({
    name: container['name'],
    ready: container['ready'] ?? false,
    started: container['started'] ?? false,
    restartCount: container['restartCount'] ?? 0,
    state: container['state'] ?? {},
    lastState: container['lastState'] ?? {},
  }));
  // Through JSON, so that absent and undefined are the same.
  return JSON.parse(JSON.stringify([status['phase'], status['podIP'], conditions, containers.map(sorted)]));
}

const OWN_CONDITIONS = new Set([
  'PodReadyToStartContainers',
  'Initialized',
  'PodScheduled',
  'ContainersReady',
  'Ready',
]);

/** containerID is the API server's addition to terminated states; it is not compared. */
function sorted(value: unknown): unknown {
  if (value === null || typeof value !== 'object') return value;
  const entries = Object.entries(value).filter(([key]) => key !== 'containerID');
  return Object.fromEntries(
    entries.toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([key, inner]) => [key, sorted(inner)]),
  );
}

function array(value: unknown): readonly Readonly<Record<string, unknown>>[] {
  return Array.isArray(value) ? value : [];
}

function phaseOf(facts: PodFacts): string {
  const states = facts.containers.map((container) => container.state);
  if (facts.over && states.every((state) => 'terminated' in state)) {
    return states.every((state) => 'terminated' in state && state.terminated.exitCode === 0) ? 'Succeeded' : 'Failed';
  }
  const begun = facts.containers.every(
    (container) => 'running' in container.state || container.restartCount > 0 || 'terminated' in container.state,
  );
  return begun ? 'Running' : 'Pending';
}

/** Restarts that earlier nodes or earlier lives of this one counted. */
export function earlierRestarts(pod: Pod, container: string): number | undefined {
  return pod.status?.containerStatuses?.find((status) => status.name === container)?.restartCount;
}
