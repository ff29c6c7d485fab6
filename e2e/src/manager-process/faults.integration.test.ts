import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ManagerFixture } from './manager-fixture.ts';

describe('a move to a bad target', () => {
  let fixture: ManagerFixture;

  beforeAll(async () => {
    fixture = await ManagerFixture.start();
    await fixture.manager();
  });

  afterAll(async () => {
    await fixture?.stop();
  });

  it.each([
    ['omits an object', 'omit-one', 'Verification', 'verificationTimeout'],
    ['answers nothing', 'mute', 'Verification', 'verificationTimeout'],
    ['never gets warm', 'never-warm', 'Transfer', 'transferTimeout'],
  ] as const)(
    'that %s is rolled back, its source keeps serving, and a good target gets the slots',
    async (_, fault, step, timeout) => {
      const name = `target-${fault}`;
      const handover = { [timeout]: '3s' };
      await fixture.createConfig(name, { mode: 'Manual', shards: 1, minShards: 1, maxShards: 4, handover });
      await fixture.settled(name, 1);
      await fixture.balanced(1, name);
      fixture.nodes.takeUncoveredMs();
      fixture.nodes.faults.set(`${name}-a-1`, fault);
      await fixture.patchConfig(name, { shards: 2 });
      await fixture.eventually(async () => {
        const log = await fixture.eventLog(name);
        const rolledBack = log.find(({ type }) => type === 'shard.migration.rolledback.v1');
        return rolledBack === undefined ? 'nothing was rolled back' : undefined;
      });
      const log = await fixture.eventLog(name);
      expect(log.find(({ type }) => type === 'shard.migration.rolledback.v1')?.raw).toMatchObject({ step });
      expect(log.filter(({ type }) => type === 'shard.migration.committed.v1')).toEqual([]);
      await expect
        .poll(async () => (await fixture.events(name)).some((event) => event.startsWith('MigrationRolledBack: ')))
        .toBe(true);
      fixture.nodes.faults.clear();
      await fixture.settled(name, 2);
      await fixture.balanced(2, name);
      expect(fixture.nodes.takeUncoveredMs()).toBe(0);
    },
  );
});
