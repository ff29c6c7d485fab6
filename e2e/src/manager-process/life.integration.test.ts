import { elapse, PATIENCE_MS } from '@shard-controller/shared/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ManagerFixture } from './manager-fixture.ts';

const LABELS = '{namespace="default",shardconfig="main"}';

describe('a manager', () => {
  let fixture: ManagerFixture;

  beforeAll(async () => {
    fixture = await ManagerFixture.start();
    await fixture.manager();
  });

  afterAll(async () => {
    await fixture?.stop();
  });

  it('brings up the first shards of a new ShardConfig', async () => {
    await fixture.createConfig('main', { mode: 'Manual', shards: 2, minShards: 1, maxShards: 6 });
    await fixture.settled('main', 2);
    await fixture.balanced(2);
    expect([...fixture.nodes.workers.keys()].sort()).toEqual(['main-a-0', 'main-a-1']);
  });

  it('resizes 2 -> 4 -> 3, every slot exposed at every moment, with the fewest moves', async () => {
    fixture.nodes.takeUncoveredMs();
    const movedBefore = await movedSlots(fixture);
    await fixture.patchConfig('main', { shards: 4 });
    await fixture.settled('main', 4);
    await fixture.balanced(4);
    expect((await movedSlots(fixture)) - movedBefore).toBe(128);
    await fixture.patchConfig('main', { shards: 3 });
    await fixture.settled('main', 3);
    await fixture.balanced(3);
    expect((await movedSlots(fixture)) - movedBefore).toBe(128 + 64);
    expect(fixture.nodes.takeUncoveredMs()).toBe(0);
    expect([...fixture.nodes.workers.keys()].sort()).toEqual(['main-a-0', 'main-a-1', 'main-a-2']);
  });

  it('shows its decisions as metrics and as Events on the ShardConfig', async () => {
    const leader = await fixture.leader();
    expect(await leader.metric(`shard_controller_shards_total${LABELS}`)).toBe(3);
    expect(await leader.metric(`shard_controller_open_migrations${LABELS}`)).toBe(0);
    const { text } = await leader.get('/metrics');
    expect(text).toMatch(/shard_controller_scaling_operations_total\{.*direction="up",trigger="manual"\} 1/);
    expect(text).toMatch(/shard_controller_scaling_operations_total\{.*direction="down",trigger="manual"\} 1/);
    expect(text).toMatch(/shard_controller_migration_duration_seconds_count\{.*outcome="completed"\} [1-9]/);
    expect(text).toContain(`shard_controller_load_average${LABELS}`);
    const events = await fixture.events('main');
    expect(events.some((event) => event.startsWith('ScaledUp: 2 -> 4'))).toBe(true);
    expect(events.some((event) => event.startsWith('ScaledDown: 4 -> 3'))).toBe(true);
  });

  it('is ready, and alive', async () => {
    const leader = await fixture.leader();
    expect((await leader.get('/readyz')).status).toBe(200);
    expect((await leader.get('/livez')).status).toBe(200);
  });

  it('answers questions about itself over NATS', async () => {
    const { connection } = (await fixture.link()).session();
    const ask = async (what: string, query: object): Promise<unknown> =>
      (await connection.request(`shard.inspect.v1.${what}`, JSON.stringify(query), { timeout: PATIENCE_MS })).json();
    expect(await ask('status', { config: 'main' })).toMatchObject({
      items: [{ config: 'main', known: true, desiredShards: 3 }],
    });
    const item = {
      config: 'main',
      slot: 255,
      shard: expect.stringMatching(/^shard-00[0-2]$/),
      since: expect.any(Number),
    };
    expect(await ask('where', { hash: 0xffff_ffff })).toMatchObject({ items: [item] });
    expect(await ask('shards', {})).toMatchObject({ items: [{ health: 'Healthy' }, {}, {}] });
    expect(await ask('plan', { shards: 4 })).toMatchObject({ items: [{ moved: 64, minimum: 64 }] });
    const history = JSON.stringify(await ask('events', { config: 'main', from: 1 }));
    expect(history).toContain('"events":["shard.config.accepted.v1","shard.scaled.v1"]');
    expect(await ask('where', {})).toMatchObject({ error: { code: 'SC_INSPECT_QUERY' } });
    expect(
      JSON.stringify((await connection.request('$SRV.PING.shard-inspect', '', { timeout: PATIENCE_MS })).json()),
    ).toContain('io.nats.micro.v1.ping_response');
  });

  it('rolls the workers to a new template, every slot exposed at every moment', async () => {
    const before = [...fixture.nodes.workers.values()].map(({ options }) => options.revision);
    fixture.nodes.takeUncoveredMs();
    await fixture.patchConfig('main', { exporter: { image: 'kube-state-metrics:next' } });
    await fixture.eventually(async () => {
      const workers = [...fixture.nodes.workers.values()];
      const isNew = workers.length === 3 && workers.every(({ options }) => !before.includes(options.revision));
      return isNew ? undefined : workers.map(({ options }) => `${options.pod}: ${options.revision}`).join(', ');
    });
    await fixture.settled('main', 3);
    await fixture.balanced(3);
    expect(fixture.nodes.takeUncoveredMs()).toBe(0);
  });

  it('gives the slots of a lost worker to the others', async () => {
    await fixture.nodes.loseNode('main-a-1');
    expect(fixture.nodes.missing.length).toBeGreaterThan(80);
    await fixture.eventually(async () =>
      fixture.nodes.missing.length === 0 ? undefined : `${fixture.nodes.missing.length} slots missing`,
    );
    await expect
      .poll(async () => (await fixture.events('main')).some((event) => event.startsWith('ShardFailed: shard-001')))
      .toBe(true);
  });

  it('takes the worker back when it returns', async () => {
    fixture.nodes.returnNode('main-a-1');
    await fixture.settled('main', 3);
    await fixture.balanced(3);
    expect(fixture.nodes.workers.get('main-a-1')?.exposed.size).toBeGreaterThan(80);
  });

  it('scales by load within its bounds', async () => {
    fixture.nodes.objectsPerWorker = 950;
    await fixture.patchConfig('main', {
      mode: 'Auto',
      maxShards: 4,
      capacity: { objects: 1000 },
      scaling: { sustainedPeriod: '1s', scaleUpCooldown: '1s', scaleDownCooldown: '2s' },
    });
    await fixture.settled('main', 4);
    // More than maxShards never.
    await elapse(3000);
    expect((await fixture.config('main')).status.desiredShards).toBe(4);
    fixture.nodes.objectsPerWorker = 10;
    await fixture.settled('main', 1);
    await fixture.balanced(1);
    fixture.nodes.objectsPerWorker = undefined;
  });

  it('leaves nothing behind when the ShardConfig goes', async () => {
    const { metadata } = await fixture.config('main');
    await fixture.deleteConfig('main');
    const leader = await fixture.leader();
    await fixture.eventually(async () => {
      const shards = await leader.metric(`shard_controller_shards_total${LABELS}`);
      return shards === undefined ? undefined : 'its metrics are still there';
    });
    expect(await fixture.assignmentSubjects()).toEqual([]);
    expect(metadata.uid).not.toBe('');
  });
});

async function movedSlots(fixture: ManagerFixture): Promise<number> {
  const leader = await fixture.leader();
  const { text } = await leader.get('/metrics');
  const lines = text
    .split('\n')
    .filter((line) => /^shard_controller_slots_moved_total\{.*cause="(resize|rebalance)"/.test(line));
  return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
}
