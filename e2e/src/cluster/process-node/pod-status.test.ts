import { describe, expect, it } from 'vitest';
import { type ContainerStatus, restartDelayMs, terminationOf } from './container-status.ts';
import { desiredStatus, isCurrent, type PodFacts } from './pod-status.ts';
import { type PodStatus, podSchema } from './pod.ts';

const running: ContainerStatus = {
  name: 'c',
  image: 'i',
  imageID: 'i',
  ready: true,
  started: true,
  restartCount: 0,
  state: { running: { startedAt: '2026-01-01T00:00:00Z' } },
  lastState: {},
};
const facts: PodFacts = {
  podIp: '10.88.1.1',
  hostIp: '10.88.0.1',
  startedAt: '2026-01-01T00:00:00Z',
  containers: [running],
  over: false,
};
const ended = terminationOf({ code: 1, signal: null }, '2026-01-01T00:00:00Z', '2026-01-01T00:00:01Z');

/** As the API server would hand it back. */
function live(status: Record<string, unknown>): PodStatus {
  const pod = podSchema.parse({
    metadata: { name: 'p', namespace: 'n', uid: 'u', resourceVersion: '1' },
    spec: { nodeName: 'n', containers: [] },
    status: JSON.parse(JSON.stringify(status)),
  });
  return pod.status ?? {};
}

function conditionOf(status: Record<string, unknown>, type: string): Record<string, unknown> | undefined {
  const conditions: Record<string, unknown>[] = JSON.parse(JSON.stringify(status['conditions']));
  return conditions.find((condition) => condition['type'] === type);
}

describe('the status of a pod', () => {
  it('is Ready only when every container is', () => {
    expect(conditionOf(desiredStatus(facts, undefined, 0), 'Ready')).toMatchObject({ status: 'True', reason: null });
    const oneNot = { ...facts, containers: [running, { ...running, name: 'd', ready: false }] };
    expect(conditionOf(desiredStatus(oneNot, undefined, 0), 'Ready')).toMatchObject({
      status: 'False',
      message: 'containers with unready status: [d]',
    });
  });

  it.for([
    { phase: 'Running', containers: [running], over: false },
    {
      phase: 'Pending',
      containers: [{ ...running, state: { waiting: { reason: 'ContainerCreating' } } }],
      over: false,
    },
    {
      phase: 'Running',
      containers: [{ ...running, restartCount: 1, state: { waiting: { reason: 'CrashLoopBackOff' } } }],
      over: false,
    },
    { phase: 'Failed', containers: [{ ...running, state: { terminated: ended } }], over: true },
    { phase: 'Succeeded', containers: [{ ...running, state: { terminated: { ...ended, exitCode: 0 } } }], over: true },
  ])('has phase $phase', ({ phase, containers, over }) => {
    expect(desiredStatus({ ...facts, containers, over }, undefined, 0)['phase']).toBe(phase);
  });

  it('keeps the time of a condition that did not change', () => {
    const before = live(desiredStatus(facts, undefined, Date.parse('2026-01-01T00:00:00Z')));
    const after = desiredStatus(facts, before, Date.parse('2026-01-02T00:00:00Z'));
    expect(conditionOf(after, 'Ready')).toMatchObject({ lastTransitionTime: '2026-01-01T00:00:00Z' });
  });

  it('is current until somebody else overwrites the Ready condition', () => {
    const wanted = desiredStatus(facts, undefined, 0);
    const there = live(wanted);
    expect(isCurrent(wanted, there)).toBe(true);
    const overwritten = there.conditions?.map((c) => (c.type === 'Ready' ? { ...c, status: 'False' } : c));
    expect(isCurrent(wanted, { ...there, conditions: overwritten })).toBe(false);
    expect(isCurrent(wanted, undefined)).toBe(false);
  });

  it('is current in spite of what others add', () => {
    const wanted = desiredStatus(facts, undefined, 0);
    const there = live(wanted);
    const more = [...(there.conditions ?? []), { type: 'DisruptionTarget', status: 'True' }];
    expect(isCurrent(wanted, { ...there, conditions: more, qosClass: 'BestEffort' })).toBe(true);
  });
});

describe('the end of a container', () => {
  it('by a signal has the exit code of a shell', () => {
    expect(terminationOf({ code: null, signal: 'SIGKILL' }, 'a', 'b')).toMatchObject({
      exitCode: 137,
      signal: 9,
      reason: 'Error',
    });
    expect(terminationOf({ code: 0, signal: null }, 'a', 'b')).toMatchObject({ exitCode: 0, reason: 'Completed' });
  });

  it('is followed by waits that grow from nothing to a minute', () => {
    expect([0, 1, 2, 3, 7, 20].map(restartDelayMs)).toEqual([0, 1000, 2000, 4000, 60_000, 60_000]);
  });
});
