import { describe, expect, it } from 'vitest';
import { type Execute, executing } from './kubectl.ts';
import { run } from './program.ts';

const NOW = Date.parse('2026-01-02T00:00:00Z');
const QUARTER = 0x4000_0000;

const config = (status: object = {}) => ({
  metadata: { name: 'main', namespace: 'monitoring', uid: 'u1', generation: 3 },
  spec: { mode: 'Auto', slots: 64, shardBy: 'uid' },
  status: {
    observedGeneration: 3,
    conditions: [{ type: 'Ready', status: 'True', reason: 'AllReady', message: 'all shards serve' }],
    shards: 2,
    readyShards: 2,
    desiredShards: 2,
    updatedShards: 2,
    load: 0.42,
    openMigrations: 1,
    lastDecision: { message: '2 -> 2 shards: within the thresholds', time: '2026-01-01T23:58:30Z' },
    ...status,
  },
});

const instance = (ordinal: number, start: number, end: number, over: object = {}) => ({
  metadata: { name: `main-shard-00${ordinal}`, namespace: 'monitoring' },
  spec: {
    shardConfigRef: { name: 'main', uid: 'u1' },
    shardId: `shard-00${ordinal}`,
    slotCount: 64,
    hashRanges: [{ start, end }],
    warmRanges: [],
    releaseRanges: [],
  },
  status: {
    phase: 'Running',
    load: 0.3 + 0.2 * ordinal,
    assignedResources: [`pods: ${1200 + ordinal}`, 'secrets: 30'],
    replicas: [{ replica: 'a', pod: `main-a-${ordinal}`, node: `node-${ordinal}`, phase: 'Running' }],
    ...over,
  },
});

const manager = {
  items: [
    {
      metadata: { name: 'manager-1', namespace: 'monitoring' },
      spec: { containers: [{ ports: [{ name: 'http', containerPort: 8080 }] }] },
      status: { phase: 'Running' },
    },
  ],
};
const inspect = 'get --raw /api/v1/namespaces/monitoring/pods/manager-1:8080/proxy/inspect/v1/';

const fleet: Answers = {
  'get shardconfigs.shard.io': { items: [config()] },
  'get shardinstances.shard.io': {
    items: [instance(0, 0, 2 * QUARTER - 1), instance(1, 2 * QUARTER, 4 * QUARTER - 1)],
  },
  'get pods -l app.kubernetes.io/part-of': manager,
};

/** What a command line prints, by the words that it begins with, the longest first; one that begins with `!` fails. */
type Answers = Readonly<Record<string, unknown>>;

const answering =
  (answers: Answers): Execute =>
  async (args) => {
    const line = args.join(' ');
    const words = Object.keys(answers)
      .sort((a, b) => b.length - a.length)
      .find((each) => line.startsWith(each));
    const answer = words === undefined ? `!Error from server (NotFound): ${line}` : answers[words];
    const text = typeof answer === 'string' ? answer : JSON.stringify(answer);
    return text.startsWith('!')
      ? { code: 1, stdout: '', stderr: text.slice(1) }
      : { code: 0, stdout: text, stderr: '' };
  };

async function shard(line: string, answers: Answers, width?: number) {
  let out = '';
  let err = '';
  const exit = await run(line.split(' '), {
    kubectl: answering(answers),
    width,
    colour: false,
    version: '0.1.0',
    signal: new AbortController().signal,
    now: () => NOW,
    write: (text) => void (out += text),
    writeError: (text) => void (err += text),
  });
  return { out, err, exit };
}

describe('screens', () => {
  it.each([undefined, 80, 200])('status at %s columns', async (width) => {
    expect(await shard('status', fleet, width)).toMatchSnapshot();
  });

  it.each([80, 200])('get and top at %s columns', async (width) => {
    expect((await shard('get', fleet, width)).out).toMatchSnapshot('get');
    expect((await shard('top --sort objects', fleet, width)).out).toMatchSnapshot('top');
  });

  it('status names what is wrong, and its exit code says so', async () => {
    const conditions = [
      { type: 'Ready', status: 'False', reason: 'ShardsNotReady', message: 'shard-001 is Failed' },
      { type: 'ScalingLimited', status: 'True', reason: 'TooManyShards', message: 'maxShards is reached' },
    ];
    const unavailable = [
      { kind: 'leases', cause: 'forbidden', message: 'grant `list`', since: '2026-01-01T00:00:00Z' },
    ];
    const replicas = [{ replica: 'a', pod: 'main-a-0', phase: 'Running', unavailable }];
    const answers = {
      ...fleet,
      'get shardconfigs.shard.io': { items: [config({ conditions, readyShards: 1 })] },
      'get shardinstances.shard.io': { items: [instance(0, 0, 4 * QUARTER - 1, { replicas })] },
    };
    const { out, exit } = await shard('status', answers, 80);
    expect(out).toMatchSnapshot();
    expect(exit).toBe(1);
  });

  it('status of a spec that no manager has seen is not Ready', async () => {
    const unseen = { ...fleet, 'get shardconfigs.shard.io': { items: [config({ observedGeneration: 2 })] } };
    const { out, exit } = await shard('status', unseen);
    expect(out).toContain('not seen yet');
    expect(exit).toBe(1);
  });

  it('gives programs the data', async () => {
    expect(JSON.parse((await shard('-o json status', fleet)).out)[0].shards[1]).toMatchObject({
      shardId: 'shard-001',
      objects: 1231,
    });
    expect((await shard('-o yaml status', fleet)).out).toContain('shardId: shard-001');
  });
});

describe('where', () => {
  const pod = { kind: 'Pod', metadata: { name: 'web-1', namespace: 'prod', uid: 'a' } };
  const asked = { ...fleet, 'get pod/web-1': pod };

  it('finds the shard of an object by the API server alone', async () => {
    // FNV-1a 64 of "a" is af63dc4c8601ec8c: slot 43 of 64.
    const { out, exit } = await shard('where pod/web-1', {
      ...asked,
      'get pods -l app.kubernetes.io/part-of': { items: [] },
    });
    expect(out).toBe('Pod prod/web-1 in monitoring/main: shard-001 (pod main-a-1), slot 43\n');
    expect(exit).toBe(0);
  });

  it('says since when and why, where a manager can be asked', async () => {
    const item = {
      namespace: 'monitoring',
      config: 'main',
      slot: 43,
      shard: 'shard-001',
      pod: 'main-a-1',
      since: NOW - 3 * 3_600_000,
      sequence: 12,
      why: 'resize (g1-m3): 16 of 32 slots to balance 2 shards',
    };
    const answers = { ...asked, [`${inspect}where`]: { manager: 'm', at: NOW, items: [item] } };
    expect((await shard('where pod/web-1', answers)).out).toMatchSnapshot();
  });

  it('says that there is no such object', async () => {
    const { err, exit } = await shard('where pod/gone', fleet);
    expect(err).toContain('pod/gone does not exist in this namespace');
    expect(exit).toBe(1);
  });
});

describe('plan, events, explain', () => {
  const plan = {
    namespace: 'monitoring',
    config: 'main',
    from: 2,
    to: 4,
    strategy: 'consistent-hash',
    slots: 64,
    moved: 32,
    minimum: 32,
    objects: 1230,
    moves: [
      { source: 'shard-000', target: 'shard-002', slots: 16 },
      { source: 'shard-001', target: 'shard-003', slots: 16 },
    ],
    lastMovesMs: { moves: 3, median: 2_400, longest: 5_100 },
  };

  it('shows what would move', async () => {
    const answers = { ...fleet, [`${inspect}plan`]: { manager: 'm', at: NOW, items: [plan] } };
    expect((await shard('plan --shards 4', answers)).out).toMatchSnapshot();
  });

  it("passes on a manager's own sentence", async () => {
    const body = '{"error":{"code":"SC_INSPECT_QUERY","message":"there is no ShardConfig x; there are: main"}}';
    const { err, exit } = await shard('plan x', { ...fleet, [`${inspect}plan`]: `!error: ${body}` });
    expect(err).toBe('error: there is no ShardConfig x; there are: main\n');
    expect(exit).toBe(2);
  });

  const decision = (sequence: number, says: string) => ({
    namespace: 'monitoring',
    config: 'main',
    sequence,
    at: NOW - 60_000 + sequence * 1_000,
    manager: { identity: 'manager-1_x', term: 4 },
    command: 'Tick',
    reason: 'time passed',
    says: [says],
    events: [{ type: 'shard.migration.started.v1', id: 'g1-m3' }],
  });

  it('lists decisions, and tells the story of a migration', async () => {
    const items = [decision(7, 'migration g1-m3: Preparation'), decision(9, 'migration g1-m3: Transfer')];
    const answer = { manager: 'm', at: NOW, items };
    const answers = { ...fleet, [`${inspect}events`]: answer, [`${inspect}explain`]: answer };
    expect((await shard('events', answers, 80)).out).toMatchSnapshot('events');
    expect((await shard('explain main g1-m3', answers)).out).toMatchSnapshot('explain');
    expect((await shard('-o wide explain main g1-m3', answers)).out).toContain('id: g1-m3');
  });
});

describe('drain', () => {
  it('says what it would do, and does it only when it is told to', async () => {
    const answers = { ...fleet, 'delete pod main-a-1': 'deleted' };
    expect((await shard('drain shard-001 --dry-run', answers)).out).toContain('would be done: pod main-a-1 is deleted');
    expect(await shard('drain shard-001', answers)).toMatchObject({ exit: 2, err: expect.stringContaining('--yes') });
    expect(await shard('drain shard-001 --yes', answers)).toMatchObject({ exit: 0 });
    expect(await shard('drain shard-009 --yes', answers)).toMatchObject({
      exit: 2,
      err: 'error: there is no shard-009\n',
    });
  });
});

describe('verify', () => {
  it('compares what all shards show with what there is', async () => {
    const answers = {
      ...fleet,
      'get --raw /apis': { groups: [] },
      'get --raw /api/v1': { resources: [{ name: 'pods' }, { name: 'secrets' }] },
      'get --raw /api/v1/pods?limit=1': { metadata: { remainingItemCount: 2400 }, items: [{}] },
      'get --raw /api/v1/secrets?limit=1': { metadata: {}, items: [{}] },
    };
    const { out, exit } = await shard('verify', answers);
    expect(out).toMatchSnapshot();
    expect(exit).toBe(1);
  });
});

describe('mistakes', () => {
  it.each([
    ['status', { ...fleet, 'get shardconfigs.shard.io': { items: [] } }, 1, 'choose a namespace with -n'],
    ['status other', fleet, 1, 'there are: main'],
    ['-o xml status', fleet, 2, 'use one of table, wide, json, yaml'],
    ['top --sort size', fleet, 2, 'use load, objects, slots or name'],
    ['plan --shards many', fleet, 2, 'a whole number'],
    ['bogus', fleet, 2, "unknown command 'bogus'"],
    ['status', { 'get shard': '!Unable to connect to the server: connection refused' }, 3, 'connection refused'],
    ['events', { ...fleet, 'get pods -l app.kubernetes.io/part-of': { items: [] } }, 3, 'no manager runs'],
  ])('%s: says what to do', async (line, answers, code, text) => {
    const { err, exit } = await shard(line, answers);
    expect(err).toContain(text);
    expect(exit).toBe(code);
  });

  it('names a kubectl that is missing', async () => {
    const shell = {
      kubectl: executing('/nowhere/kubectl'),
      width: undefined,
      colour: false,
      version: '0',
      signal: new AbortController().signal,
      now: () => NOW,
      write: () => undefined,
      writeError: (text: string) => void (seen += text),
    };
    let seen = '';
    expect(await run(['status'], shell)).toBe(3);
    expect(seen).toContain('is it on the PATH?');
  });
});
