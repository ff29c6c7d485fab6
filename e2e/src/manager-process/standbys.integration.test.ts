import { type ShardInstance, shardInstanceName } from '@shard-controller/shared/api';
import { isNotFound, resourcePath } from '@shard-controller/shared/kubernetes';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ManagerFixture, NAMESPACE } from './manager-fixture.ts';

const NAME = 'main';
const SHARDS = ['shard-000', 'shard-001'];

describe('a ShardConfig with standbys', () => {
  let fixture: ManagerFixture;

  beforeAll(async () => {
    fixture = await ManagerFixture.start();
    await fixture.manager();
    await fixture.createConfig(NAME, { mode: 'Manual', shards: 2, minShards: 1, maxShards: 4, replicasPerShard: 2 });
    await fixture.settled(NAME, 2);
    await settledStandbys();
  });

  afterAll(async () => {
    await fixture?.stop();
  });

  const instances = async (): Promise<ShardInstance[]> =>
    Promise.all(
      SHARDS.map((shard) =>
        fixture.client.get<ShardInstance>(
          resourcePath({
            group: 'shard.io',
            version: 'v1',
            resource: 'shardinstances',
            namespace: NAMESPACE,
            name: shardInstanceName(NAME, shard),
          }),
        ),
      ),
    );

  const activeReplicas = async () => (await instances()).map(({ spec }) => spec.activeReplica);

  /** Every shard has two workers that hold what its newest assignment says, in the same revision. */
  async function settledStandbys(): Promise<void> {
    await fixture.eventually(async () => {
      const epochs = new Map((await instances()).map(({ spec }) => [spec.shardId, spec.epoch]));
      const workers = [...fixture.nodes.workers.values()].map((worker) => worker.heartbeat());
      const ready = workers.filter(({ phase, epoch, shardId }) => phase === 'Running' && epoch === epochs.get(shardId));
      const revisions = new Set(workers.map(({ revision }) => revision));
      return ready.length === 4 && revisions.size === 1 ? undefined : `${ready.length} of 4 workers are ready`;
    });
  }

  const typesSince = async (sequence: number): Promise<string[]> =>
    (await fixture.eventLog(NAME)).filter((event) => event.sequence > sequence).map(({ type }) => type);

  const lastSequence = async (): Promise<number> => (await fixture.eventLog(NAME)).at(-1)?.sequence ?? 0;

  it('names the active replica in every ShardInstance, a first', async () => {
    expect(await activeReplicas()).toEqual(['a', 'a']);
  });

  it('lets a standby serve in the place of a worker that died, and makes that one the standby when it is back', async () => {
    const before = await lastSequence();
    await fixture.nodes.loseNode(`${NAME}-a-0`);
    await fixture.eventually(async () => ((await activeReplicas())[0] === 'b' ? undefined : 'a-0 is still active'));
    await fixture.eventually(async () => (fixture.nodes.missing.length === 0 ? undefined : 'slots are missing'));
    fixture.nodes.returnNode(`${NAME}-a-0`);
    await settledStandbys();
    expect(await activeReplicas()).toEqual(['b', 'a']);
    const types = await typesSince(before);
    expect(types.filter((type) => type === 'shard.standby.promoted.v1')).toHaveLength(1);
    expect(types).not.toContain('shard.slots.assigned.v1');
    await expect
      .poll(async () => (await fixture.events(NAME)).some((event) => event.startsWith('StandbyPromoted: shard-000')))
      .toBe(true);
  });

  it('rolls without moving a slot: each standby is renewed, takes over, and leaves the other one to be renewed', async () => {
    const before = await lastSequence();
    const old = [...fixture.nodes.workers.values()].map(({ options }) => options.revision);
    await fixture.patchConfig(NAME, { podAnnotations: { rolled: 'yes' } });
    await fixture.eventually(async () => {
      const left = [...fixture.nodes.workers.values()].filter(({ options }) => old.includes(options.revision)).length;
      return left === 0 ? undefined : `${left} outdated workers`;
    });
    await settledStandbys();
    await fixture.settled(NAME, 2);
    const types = await typesSince(before);
    expect(types.filter((type) => type === 'shard.standby.promoted.v1')).toHaveLength(2);
    expect(types).not.toContain('shard.migration.planned.v1');
    expect(types).toContain('shard.rollout.proved.v1');
    expect(types).not.toContain('shard.rollout.replacing.v1');
  });

  it('goes back to one replica per shard: a serves, then the second StatefulSet goes', async () => {
    await fixture.patchConfig(NAME, { replicasPerShard: 1 });
    const path = resourcePath({
      group: 'apps',
      version: 'v1',
      resource: 'statefulsets',
      namespace: NAMESPACE,
      name: `${NAME}-b`,
    });
    await fixture.eventually(async () => {
      try {
        await fixture.client.get(path);
        return 'the StatefulSet is still there';
      } catch (error) {
        if (isNotFound(error)) return undefined;
        throw error;
      }
    });
    expect(await activeReplicas()).toEqual([undefined, undefined]);
    await fixture.settled(NAME, 2);
    await fixture.balanced(2, NAME);
  });
});
