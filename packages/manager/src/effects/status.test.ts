import type { ShardConfigStatus } from '@shard-controller/shared/api';
import type { ApplyRequest, KubernetesClient } from '@shard-controller/shared/kubernetes';
import { SteppingClock } from '@shard-controller/shared/testing';
import { describe, expect, it } from 'vitest';
import type { DesiredCondition } from '../decision/index.ts';
import { type KindReport, StatusWriter, withNotes, withHold, withPodProblems, withUnavailableKinds } from './status.ts';

const signal = new AbortController().signal;
const ready = (status: 'True' | 'False', message = ''): DesiredCondition => ({
  type: 'Ready',
  status,
  reason: 'Because',
  message,
});

interface Trial {
  readonly clock: SteppingClock;
  readonly writes: ShardConfigStatus[];
  readonly writer: StatusWriter;
}

function trial(present?: ShardConfigStatus): Trial {
  const clock = new SteppingClock();
  const writes: ShardConfigStatus[] = [];
  const client: Pick<KubernetesClient, 'apply'> = {
    apply: async <T>(request: ApplyRequest): Promise<T> => {
      writes.push(JSON.parse(JSON.stringify(request.object)).status);
      return JSON.parse('{}');
    },
  };
  const config = { namespace: 'monitoring', name: 'main', uid: 'uid-1' };
  return { clock, writes, writer: new StatusWriter({ client, leads: () => true, clock, config, present }) };
}

describe('StatusWriter', () => {
  it('writes a status once', async () => {
    const { writer, writes } = trial();
    expect(await writer.write({ shards: 2 }, [ready('True')], signal)).toBe(true);
    expect(await writer.write({ shards: 2 }, [ready('True')], signal)).toBe(true);
    expect(writes).toHaveLength(1);
  });

  it('holds back mere figures for a while, but never a condition', async () => {
    const { writer, writes, clock } = trial();
    await writer.write({ load: 0.1 }, [ready('True')], signal);
    expect(await writer.write({ load: 0.2 }, [ready('True')], signal)).toBe(false);
    await writer.write({ load: 0.3 }, [ready('False')], signal);
    await clock.sleep(3000);
    await writer.write({ load: 0.4 }, [ready('False')], signal);
    expect(writes.map(({ load }) => load)).toEqual([0.1, 0.3, 0.4]);
  });

  it('keeps the time of a condition while its status stays, also over a change of manager', async () => {
    const before = { ...ready('True'), lastTransitionTime: '2020-01-01T00:00:00Z' };
    const { writer, writes, clock } = trial({ conditions: [before] });
    await writer.write({}, [ready('True', 'new words')], signal);
    expect(writes[0]?.conditions?.[0]).toMatchObject({
      lastTransitionTime: '2020-01-01T00:00:00Z',
      message: 'new words',
    });
    await clock.sleep(5000);
    await writer.write({}, [ready('False')], signal);
    expect(writes[1]?.conditions?.[0]?.lastTransitionTime).toBe('1970-01-01T00:00:05Z');
  });
});

describe('withHold', () => {
  const hold = { reason: 'NatsUnavailable', message: 'no connection' };

  it('says that the fleet is degraded, and leaves what is known to be true', () => {
    const conditions = withHold([ready('True'), { ...ready('False'), type: 'Degraded' }], hold);
    expect(conditions.map(({ type, status, reason }) => `${type}=${status} ${reason}`)).toEqual([
      'Ready=True Because',
      'Degraded=True NatsUnavailable',
    ]);
  });

  it('does not know whether it is ready when nothing else is known', () => {
    expect(withHold([], hold).map(({ type, status }) => `${type}=${status}`)).toEqual([
      'Ready=Unknown',
      'Degraded=True',
    ]);
  });
});

describe('withNotes', () => {
  const degraded = (status: 'True' | 'False'): DesiredCondition => ({ ...ready('True'), type: 'Degraded', status });
  const notes = [{ shardId: 'shard-001', note: 'no sign of progress from the API server for pods' }];

  it('calls a ShardConfig degraded whose workers say that something is wrong', () => {
    expect(withNotes([ready('True'), degraded('False')], notes)).toEqual([
      ready('True'),
      {
        type: 'Degraded',
        status: 'True',
        reason: 'WorkersReport',
        message: 'shard-001: no sign of progress from the API server for pods',
      },
    ]);
  });

  it('stands behind a reason that is known, and changes nothing when nobody says anything', () => {
    const both = `${degraded('True').message}; shard-001: no sign of progress from the API server for pods`;
    expect(withNotes([degraded('True')], notes)).toEqual([{ ...degraded('True'), message: both }]);
    expect(withNotes([degraded('False')], [])).toEqual([degraded('False')]);
  });
});

describe('withUnavailableKinds', () => {
  const fine: DesiredCondition = { type: 'Degraded', status: 'False', reason: 'AsExpected', message: 'well' };
  const report = (shardId: string, kinds: KindReport['unavailable']['kinds'], total = kinds.length): KindReport => ({
    shardId,
    unavailable: { total, kinds },
  });
  const pods = { kind: 'pods', cause: 'forbidden' as const, message: 'pods is forbidden', since: 2_000 };

  it('names each kind once, with its cause, its remedy and the shards that cannot read it', () => {
    const widgets = { kind: 'widgets.x', cause: 'failing' as const, message: 'no webhook', since: 0, mending: true };
    const shards = ['shard-000', 'shard-001', 'shard-002', 'shard-003'];
    const reports = shards.map((shardId, i) => report(shardId, [{ ...pods, since: 2_000 + i }, widgets]));
    expect(withUnavailableKinds([ready('True'), fine], reports)).toEqual([
      ready('True'),
      {
        type: 'Degraded',
        status: 'True',
        reason: 'KindUnavailable',
        message:
          'pods: forbidden since 1970-01-01T00:00:02.000Z for shard-000, shard-001, shard-002 and 1 more: pods is forbidden; ' +
          'widgets.x: can be read again and is loading; it was failing since 1970-01-01T00:00:00.000Z for shard-000, ' +
          'shard-001, shard-002 and 1 more: no webhook',
      },
    ]);
  });

  it('stands behind a reason that is known', () => {
    const failed = { ...fine, status: 'True' as const, reason: 'ShardFailed', message: 'shard-002 is Failed' };
    expect(withUnavailableKinds([failed], [report('shard-000', [pods])])).toMatchObject([
      { reason: 'ShardFailed', message: expect.stringMatching(/^shard-002 is Failed; pods: forbidden/) },
    ]);
  });

  it('names a bounded number of kinds, and says how many more there are', () => {
    const many = Array.from({ length: 16 }, (_, i) => ({ ...pods, kind: `kind${String(i).padStart(2, '0')}` }));
    const [condition] = withUnavailableKinds([fine], [report('shard-000', many, 600)]);
    expect(condition?.message.match(/kind\d+: forbidden/g)).toHaveLength(8);
    expect(condition?.message).toMatch(/; and 592 more kinds$/);
  });

  it('changes nothing when all kinds can be read', () => {
    expect(withUnavailableKinds([fine], [])).toEqual([fine]);
  });
});

describe('withPodProblems', () => {
  const problem = (ordinal: number) => ({
    pod: `main-a-${ordinal}`,
    shardId: 'shard-001',
    reason: 'PodRefused',
    message: `exceeded quota ${ordinal}`,
  });
  const of = (type: DesiredCondition['type'], status: 'True' | 'False', reason = 'Because'): DesiredCondition => ({
    type,
    status,
    reason,
    message: type,
  });
  const text = ({ type, status, reason, message }: DesiredCondition): string =>
    `${type}=${status} ${reason}: ${message}`;

  it('is what the fleet is degraded by, and what everything waits for', () => {
    const conditions = [of('Ready', 'True'), of('Progressing', 'True', 'Waiting'), of('Degraded', 'False')];
    expect(withPodProblems(conditions, [problem(1)]).map(text)).toEqual([
      'Ready=True Because: Ready',
      'Progressing=True Waiting: Progressing; pod main-a-1: exceeded quota 1',
      'Degraded=True PodRefused: pod main-a-1: exceeded quota 1',
    ]);
  });

  it('leaves other reasons, and names a few of many', () => {
    const conditions = [of('Ready', 'False'), of('Progressing', 'False', 'Settled'), of('Degraded', 'True')];
    const few =
      'pod main-a-1: exceeded quota 1; pod main-a-2: exceeded quota 2; pod main-a-3: exceeded quota 3; and 2 more';
    expect(withPodProblems(conditions, [1, 2, 3, 4, 5].map(problem)).map(text)).toEqual([
      `Ready=False Because: Ready; ${few}`,
      'Progressing=False Settled: Progressing',
      `Degraded=True Because: Degraded; ${few}`,
    ]);
    expect(withPodProblems(conditions, [])).toEqual(conditions);
  });
});

describe('a new manager', () => {
  const before: ShardConfigStatus = {
    shards: 3,
    selector: 'a=b',
    coverage: { configuredShards: 3, activeShards: 3, coveragePercent: 100, missingShards: [] },
    conditions: [{ ...ready('True'), lastTransitionTime: '2020-01-01T00:00:00Z' }],
  };

  it('that cannot decide says so, and leaves the status that it has found', async () => {
    const { writer, writes } = trial(before);
    expect(writer.continues).toBe(true);
    await writer.writeHold({ reason: 'NatsUnavailable', message: 'no connection' }, signal);
    expect(writes[0]).toMatchObject({ ...before, conditions: [before.conditions?.[0], { type: 'Degraded' }] });
  });

  it('does not know whether it is ready where there was no status before', async () => {
    const { writer, writes } = trial();
    await writer.writeHold({ reason: 'NatsUnavailable', message: 'no connection' }, signal);
    expect(writes[0]?.conditions?.map(({ type, status }) => `${type}=${status}`)).toEqual([
      'Ready=Unknown',
      'Degraded=True',
    ]);
  });
});
