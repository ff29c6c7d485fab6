import { createServer } from 'node:net';
import { ASSIGNMENT_STREAM, assignmentSubject, eventSubject } from '@shard-controller/shared/contracts';
import { elapse } from '@shard-controller/shared/testing';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { chartRights } from '../install/rights.ts';
import { ManagerFixture, NAMESPACE } from './manager-fixture.ts';

const SPEC = { mode: 'Manual', shards: 2, minShards: 1, maxShards: 6 } as const;

describe('bad input to a manager', () => {
  let fixture: ManagerFixture;
  let count = 0;
  let name = '';

  beforeAll(async () => {
    fixture = await ManagerFixture.start();
  });

  afterEach(async () => {
    await fixture.endManagers();
    await fixture.deleteAll();
  });

  afterAll(async () => {
    await fixture?.stop();
  });

  const config = (): string => {
    count += 1;
    name = `bad-${count}`;
    return name;
  };

  const condition = async (of: string, type: string) =>
    (await fixture.config(of)).status.conditions?.find((one) => one.type === type);

  const hasCondition = async (type: string, reason: string): Promise<void> =>
    fixture.eventually(async () => {
      const found = await condition(name, type);
      return found?.reason === reason
        ? undefined
        : `${type} is ${found?.reason ?? 'not there'}: ${found?.message ?? ''}`;
    });

  const degradedMessage = async (): Promise<string> => (await condition(name, 'Degraded'))?.message ?? 'no condition';

  it('a ShardConfig that got past the API server becomes a condition and an Event; others go on', async () => {
    config();
    await fixture.withoutRules('shardconfigs', async () => {
      await fixture.createConfig(name, { ...SPEC, minShards: 9 });
    });
    await fixture.manager();
    await hasCondition('Ready', 'InvalidSpec');
    await expect.poll(degradedMessage).toContain('minShards must not be above maxShards');
    await fixture.eventually(async () => {
      const events = await fixture.events(name);
      return events.some((event) => event.startsWith('InvalidSpec: ')) ? undefined : events.join('; ');
    });
    await fixture.createConfig(config(), SPEC);
    await fixture.settled(name, 2);
  });

  it('a spec that turns invalid leaves the last valid one in force', async () => {
    await fixture.manager();
    await fixture.createConfig(config(), SPEC);
    await fixture.settled(name, 2);
    await fixture.withoutRules('shardconfigs', async () => {
      await fixture.patchConfig(name, { loadBalanceStrategy: 'random' as 'consistent-hash' });
    });
    await hasCondition('Degraded', 'InvalidSpec');
    await expect.poll(degradedMessage).toContain('loadBalanceStrategy');
    await expect.poll(() => condition(name, 'Ready')).toMatchObject({ status: 'True' });
    await fixture.patchConfig(name, { loadBalanceStrategy: 'consistent-hash', shards: 3 });
    await fixture.settled(name, 3);
    await fixture.eventually(async () => {
      const status = (await condition(name, 'Degraded'))?.status;
      return status === 'False' ? undefined : `Degraded is ${status}`;
    });
  });

  it('the API server refuses an unknown strategy and minShards above maxShards with a sentence', async () => {
    const unknown = { ...SPEC, loadBalanceStrategy: 'random' as 'consistent-hash' };
    await expect(fixture.createConfig(config(), unknown)).rejects.toThrow(/loadBalanceStrategy.*consistent-hash/);
    await expect(fixture.createConfig(config(), { ...SPEC, minShards: 9 })).rejects.toThrow(
      /minShards must not be above maxShards/,
    );
  });

  it('NATS absent at start: says so in log, readiness and status, and begins when it comes', async () => {
    await fixture.nats.kill();
    const manager = await fixture.manager();
    await fixture.createConfig(config(), SPEC);
    await hasCondition('Degraded', 'NatsUnavailable');
    await expect.poll(() => manager.output).toContain('NATS cannot be reached: check NATS_URL');
    const ready = await manager.get('/readyz');
    expect(ready.status).toBe(503);
    expect(ready.text).toContain('[-]nats failed');
    expect((await manager.get('/livez')).status).toBe(200);
    await fixture.nats.restart();
    await fixture.settled(name, 2);
    await expect.poll(async () => (await manager.get('/readyz')).status).toBe(200);
  });

  it('API server absent at start: keeps trying with a clear message, and begins when it comes', async () => {
    await fixture.createConfig(config(), SPEC);
    await fixture.apiServer.kill();
    const manager = await fixture.manager();
    await fixture.eventually(async () =>
      manager.output.includes('list or watch failed') ? undefined : 'nothing is said',
    );
    await expect.poll(() => manager.output).toMatch(/API server.*(check|Remedy)/);
    expect(manager.running).toBe(true);
    await fixture.apiServer.restart();
    await fixture.settled(name, 2);
  });

  it('a wrong token is named with its remedy, and does not end the process', async () => {
    const manager = await fixture.manager({ token: 'nonsense' });
    await fixture.eventually(async () => (manager.output.includes('401 Unauthorized') ? undefined : 'nothing is said'));
    await expect.poll(() => manager.output).toContain('the token is missing, expired or of another cluster');
    expect((await manager.get('/readyz')).status).toBe(503);
    await elapse(1000);
    expect(manager.running).toBe(true);
  });

  it('a missing right is named in log and condition, and used as soon as it is granted', async () => {
    const user = 'almost-a-manager';
    const isServices = ({ resources }: { resources: readonly string[] }) => resources.includes('services');
    const { manager: rules } = await chartRights('default');
    await fixture.grant(
      user,
      rules.filter((rule) => !isServices(rule)),
    );
    const manager = await fixture.manager({ token: fixture.tokenOf(user) });
    await fixture.createConfig(config(), SPEC);
    await hasCondition('Degraded', 'MissingRight');
    const remedy = /grant `get` on `services` in namespace default to user almost-a-manager/;
    expect((await condition(name, 'Degraded'))?.message).toMatch(remedy);
    await expect.poll(() => manager.output).toMatch(remedy);
    await fixture.grant(`${user}-services`, rules.filter(isServices), user);
    await fixture.settled(name, 2);
    await fixture.eventually(async () =>
      (await condition(name, 'Degraded'))?.status === 'False' ? undefined : 'still degraded',
    );
  });

  it('a port in use ends the process with a sentence', async () => {
    const taken = createServer();
    const port = await new Promise<number>((resolve) => {
      taken.listen(0, () => {
        const address = taken.address();
        resolve(typeof address === 'object' && address !== null ? address.port : 0);
      });
    });
    const manager = await fixture.manager({ env: { HTTP_PORT: String(port) } });
    expect(await manager.exit).toBe(1);
    await expect.poll(() => manager.output).toMatch(new RegExp(`port \\S*:${port} is in use.*HTTP_PORT`));
    taken.close();
  });

  it('a wrong environment ends the process with all problems at once', async () => {
    const manager = await fixture.manager({ env: { NATS_URL: 'nowhere', TICK_INTERVAL: 'soon' } });
    expect(await manager.exit).toBe(2);
    await expect.poll(() => manager.output).toMatch(/NATS_URL is .*TICK_INTERVAL is/);
  });

  it('an invalid message on every subject is counted and changes nothing', async () => {
    const manager = await fixture.manager();
    await fixture.createConfig(config(), SPEC);
    const before = await fixture.settled(name, 2);
    const { connection } = (await fixture.link()).session();
    const { uid } = before.metadata;
    const address = { namespace: NAMESPACE, config: name, shardId: 'shard-000' };
    const subjects = [
      `shard.heartbeats.${NAMESPACE}.${name}.shard-000.a`,
      'shard.heartbeats.x',
      'shard.heartbeats.a.b.c.d.e',
      `shard.ping.${NAMESPACE}.${name}.shard-000.a`,
      `shard.verify.${NAMESPACE}.${name}.shard-000.a`,
      'shard.inspect.v1.status',
      assignmentSubject(address),
      eventSubject(NAMESPACE, name, uid),
    ];
    for (const subject of subjects) {
      for (const payload of [
        '',
        'garbage',
        '{}',
        '[1]',
        '\u0000\uffff',
        '{"v":"shard.heartbeat.v1"}',
        'x'.repeat(60_000),
      ]) {
        connection.publish(subject, payload);
      }
    }
    await connection.flush();
    await fixture.eventually(async () => {
      const counted = await manager.metric('shard_controller_invalid_messages_total{kind="heartbeat"}');
      return (counted ?? 0) >= 20 ? undefined : `${counted} counted`;
    });
    await fixture.patchConfig(name, { shards: 3 });
    await fixture.settled(name, 3);
    await fixture.balanced(3, name);
    expect(fixture.nodes.takeUncoveredMs()).toBe(0);
    expect(manager.running).toBe(true);
  });

  it('a forged older assignment does not stay', async () => {
    await fixture.manager({ env: { RESYNC_INTERVAL: '1s' } });
    await fixture.createConfig(config(), SPEC);
    await fixture.settled(name, 2);
    await fixture.balanced(2, name);
    const worker = fixture.nodes.workers.get(`${name}-a-0`);
    const right = worker?.assignment;
    if (right === undefined) throw new Error('the worker has no assignment');
    const link = await fixture.link();
    const subject = assignmentSubject({ namespace: NAMESPACE, config: name, shardId: right.shardId });
    await link.session().js.publish(subject, JSON.stringify({ ...right, epoch: right.epoch - 1, hashRanges: [] }));
    expect(worker?.assignment).toEqual(right);
    await fixture.eventually(async () => {
      const { message } = {
        message: await link.session().jsm.streams.getMessage(ASSIGNMENT_STREAM, { last_by_subj: subject }),
      };
      return JSON.stringify(message?.json()) === JSON.stringify(right) ? undefined : 'the forged one still stands';
    });
  });

  it('heartbeats of another ShardConfig of the same name move nothing', async () => {
    await fixture.manager();
    await fixture.createConfig(config(), SPEC);
    await fixture.settled(name, 2);
    const heard = fixture.nodes.workers.get(`${name}-a-0`)?.heartbeat();
    const link = await fixture.link();
    const forged = { ...heard, uid: '00000000-0000-4000-8000-000000000000', phase: 'Draining', sequence: 1e9 };
    link.publish(`shard.heartbeats.${NAMESPACE}.${name}.shard-000.a`, forged);
    await elapse(2000);
    const log = await fixture.eventLog(name);
    expect(log.filter(({ raw }) => JSON.stringify(raw).includes('"draining":true'))).toEqual([]);
  });
});
