import { EVENT_STREAM } from '@shard-controller/shared/contracts';
import { elapse } from '@shard-controller/shared/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ManagerFixture } from './manager-fixture.ts';

const SLOW_WARM_MS = 1500;

describe('managers in trouble', () => {
  let fixture: ManagerFixture;

  beforeEach(async () => {
    fixture = await ManagerFixture.start({ warmMs: SLOW_WARM_MS });
    await fixture.manager();
    await fixture.leader();
    await fixture.createConfig('main', { mode: 'Manual', shards: 2, minShards: 1, maxShards: 6 });
    await fixture.settled('main', 2);
    await fixture.balanced(2);
    fixture.nodes.takeUncoveredMs();
  });

  afterEach(async () => {
    await fixture?.stop();
  });

  /** Asks for 4 shards and returns while slots are being moved to them. */
  const beginMigrations = async (): Promise<void> => {
    await fixture.patchConfig('main', { shards: 4 });
    await fixture.eventually(async () => {
      const { status } = await fixture.config('main');
      const warm = [...fixture.nodes.workers.values()].some(
        ({ assignment }) => (assignment?.warmRanges.length ?? 0) > 0,
      );
      return (status.openMigrations ?? 0) > 0 && warm ? undefined : 'no migration is open';
    });
  };

  it('a second manager ends what a killed leader began', async () => {
    const second = await fixture.manager();
    await fixture.eventually(async () =>
      (await second.get('/readyz')).status === 200 ? undefined : 'standby not ready',
    );
    const first = await fixture.leader();
    expect(first).not.toBe(second);
    await beginMigrations();
    await first.kill();
    expect(await fixture.leader()).toBe(second);
    const { status } = await fixture.settled('main', 4);
    await fixture.balanced(4);
    expect(status.logGeneration).toBe(1);
    expect(fixture.nodes.takeUncoveredMs()).toBe(0);
  });

  it('a leader that is asked to end hands the Lease over at once', async () => {
    const second = await fixture.manager({ env: { LEASE_DURATION: '60s', LEASE_RENEW_DEADLINE: '30s' } });
    const first = await fixture.leader();
    await fixture.eventually(async () =>
      (await second.get('/readyz')).status === 200 ? undefined : 'standby not ready',
    );
    first.signal('SIGTERM');
    expect(await first.exit).toBe(0);
    expect(await fixture.leader()).toBe(second);
  });

  it('an outage of NATS moves nothing by itself, and what was open ends after it', async () => {
    await beginMigrations();
    await fixture.nats.kill();
    await elapse(6000);
    const degraded = async () =>
      (await fixture.config('main')).status.conditions?.find(({ type }) => type === 'Degraded');
    await expect.poll(degraded).toMatchObject({ status: 'True', reason: 'NatsUnavailable' });
    await fixture.nats.restart();
    await fixture.settled('main', 4);
    await fixture.balanced(4);
    const log = await fixture.eventLog('main');
    expect(log.filter(({ type }) => type === 'shard.slots.assigned.v1')).toHaveLength(1);
    expect(
      log
        .filter(({ type }) => type === 'shard.health.changed.v1')
        .filter(({ raw }) => JSON.stringify(raw).includes('Failed')),
    ).toEqual([]);
    expect(fixture.nodes.takeUncoveredMs()).toBe(0);
  });

  it('an API server restart moves nothing by itself, and what was open ends after it', async () => {
    await beginMigrations();
    await fixture.apiServer.restart();
    await fixture.settled('main', 4);
    await fixture.balanced(4);
    const log = await fixture.eventLog('main');
    expect(log.filter(({ type }) => type === 'shard.slots.assigned.v1')).toHaveLength(1);
    expect(fixture.nodes.takeUncoveredMs()).toBe(0);
  });

  it('a new manager continues from the log alone', async () => {
    const before = await fixture.config('main');
    await fixture.endManagers();
    await fixture.eraseStatuses('main');
    await fixture.manager();
    const after = await fixture.settled('main', 2);
    expect(after.status.logGeneration).toBe(1);
    expect(after.status.epoch).toBe(before.status.epoch);
    await fixture.patchConfig('main', { shards: 3 });
    await fixture.settled('main', 3);
    await fixture.balanced(3);
    expect(fixture.nodes.takeUncoveredMs()).toBe(0);
  });

  it('a lost event log is rebuilt from the ShardInstances under a higher generation, and nothing moves', async () => {
    const owned = () =>
      [...fixture.nodes.workers.values()].map(({ assignment }) => JSON.stringify(assignment?.hashRanges));
    const before = owned();
    const link = await fixture.link();
    await link.session().jsm.streams.delete(EVENT_STREAM);
    await fixture.eventually(async () => {
      const { status } = await fixture.config('main');
      return status.logGeneration === 2 ? undefined : JSON.stringify(status);
    });
    const { status } = await fixture.settled('main', 2);
    expect(owned()).toEqual(before);
    expect(status.logGeneration).toBe(2);
    await expect
      .poll(async () => (await fixture.events('main')).some((event) => event.startsWith('LogRecovered: ')))
      .toBe(true);
    await fixture.patchConfig('main', { shards: 3 });
    await fixture.settled('main', 3);
    await fixture.balanced(3);
    expect(fixture.nodes.takeUncoveredMs()).toBe(0);
  });

  it('everything killed together comes back complete without help', async () => {
    await fixture.manager();
    await Promise.all([fixture.endManagers(), fixture.nats.kill(), fixture.nodes.crashAll()]);
    await fixture.nats.restart();
    await Promise.all([fixture.manager(), fixture.manager()]);
    await fixture.settled('main', 2);
    await fixture.balanced(2);
    expect(fixture.nodes.missing).toEqual([]);
  });
});
