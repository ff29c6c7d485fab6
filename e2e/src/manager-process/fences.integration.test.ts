import {
  ASSIGNMENT_STREAM,
  assignmentSubject,
  eventSubject,
  heartbeatSubject,
} from '@shard-controller/shared/contracts';
import { resourcePath } from '@shard-controller/shared/kubernetes';
import { elapse } from '@shard-controller/shared/testing';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { managerRules } from '../install/rights.ts';
import { ManagerFixture, NAMESPACE } from './manager-fixture.ts';

const SPEC = { mode: 'Manual', shards: 2, minShards: 1, maxShards: 6 } as const;

/** Whom a manager is to the API server that will lead no more. */
const FORMER = 'former-leader';

const objectSchema = z.looseObject({
  metadata: z.looseObject({ uid: z.string(), generation: z.int().optional(), resourceVersion: z.string() }),
});

describe('a manager and what is not true', () => {
  let fixture: ManagerFixture;
  let count = 0;
  let name = '';

  beforeAll(async () => {
    fixture = await ManagerFixture.start({ audited: FORMER });
    await fixture.grant(FORMER, managerRules);
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
    name = `fenced-${count}`;
    return name;
  };

  const settledFleet = async (env: Readonly<Record<string, string>> = {}, user?: string): Promise<void> => {
    await fixture.manager({ env, ...(user === undefined ? {} : { token: fixture.tokenOf(user) }) });
    await fixture.createConfig(config(), SPEC);
    await fixture.settled(name, 2);
    await fixture.balanced(2, name);
    fixture.nodes.takeUncoveredMs();
  };

  const hasEvent = (text: string | RegExp) =>
    fixture.eventually(async () => {
      const events = await fixture.events(name);
      return events.some((event) => (typeof text === 'string' ? event.includes(text) : text.test(event)))
        ? undefined
        : events.join('\n');
    });

  const decisions = async (): Promise<string> => JSON.stringify(await fixture.eventLog(name));

  it('an assignment of any generation on NATS is replaced by the true one, and named', async () => {
    await settledFleet({ RESYNC_INTERVAL: '2s' });
    const right = fixture.nodes.workers.get(`${name}-a-0`)?.assignment;
    if (right === undefined) throw new Error('the worker has no assignment');
    const before = await decisions();
    const { js, jsm } = (await fixture.link()).session();
    const subject = assignmentSubject({ namespace: NAMESPACE, config: name, shardId: right.shardId });
    const forged = [
      { ...right, generation: Number.MAX_SAFE_INTEGER, hashRanges: [] },
      { ...right, epoch: right.epoch + 1, hashRanges: [] },
      { ...right, hashRanges: [] },
    ];
    for (const content of forged) {
      await js.publish(subject, JSON.stringify(content));
      await fixture.eventually(async () => {
        const message = await jsm.streams.getMessage(ASSIGNMENT_STREAM, { last_by_subj: subject });
        return JSON.stringify(message?.json()) === JSON.stringify(right) ? undefined : 'the forged one still stands';
      });
    }
    await hasEvent(`ForgedAssignment: NATS subject ${subject} held assignment ${Number.MAX_SAFE_INTEGER}/`);
    expect(await decisions()).toBe(before);
    await fixture.patchConfig(name, { shards: 3 });
    await fixture.settled(name, 3);
    expect(fixture.nodes.takeUncoveredMs()).toBe(0);
  });

  it('a worker is heard through heartbeats of any boot and any count, which are named and decide nothing', async () => {
    await settledFleet();
    const worker = fixture.nodes.workers.get(`${name}-a-0`);
    const before = await decisions();
    const link = await fixture.link();
    const subject = heartbeatSubject({ namespace: NAMESPACE, config: name, shardId: 'shard-000', replica: 'a' });
    const until = Date.now() + 9_000;
    link.publish(subject, { ...worker?.heartbeat(), sequence: Number.MAX_SAFE_INTEGER });
    while (Date.now() < until) {
      link.publish(subject, { ...worker?.heartbeat(), boot: 'forged', phase: 'Draining', sequence: 1e9 });
      link.publish(subject, { ...worker?.heartbeat(), pod: 'somebody-0', phase: 'Draining' });
      await elapse(200);
    }
    await hasEvent(/ForgedHeartbeat: .*shard-000.*boot forged/);
    await hasEvent(/ForgedHeartbeat: .*shard-000.*come from pod somebody-0/);
    expect(await decisions()).toBe(before);
    await fixture.patchConfig(name, { shards: 3 });
    await fixture.settled(name, 3);
    expect(fixture.nodes.takeUncoveredMs()).toBe(0);
  });

  it('an invalid message in the event log is folded over and named, and decisions go on between it', async () => {
    await settledFleet();
    const { uid } = (await fixture.config(name)).metadata;
    const { connection } = (await fixture.link()).session();
    const subject = eventSubject(NAMESPACE, name, uid);
    const over = new AbortController();
    const writing = (async () => {
      for (let n = 0; !over.signal.aborted; n++) {
        connection.publish(subject, n % 2 === 0 ? 'garbage' : '{"v":"shard.decision.v1"}');
        await elapse(20);
      }
    })();
    try {
      await fixture.patchConfig(name, { shards: 3 });
      await fixture.settled(name, 3);
    } finally {
      over.abort();
      await writing;
    }
    await hasEvent(/InvalidLogMessage: .* are not decisions: skipped/);
    expect(fixture.nodes.takeUncoveredMs()).toBe(0);
  });

  it('objects of somebody else keep their names, and a condition says which ones are in the way', async () => {
    const taken = config();
    const labels = { app: 'somebody' };
    const metadata = (of: string) => ({ name: of, namespace: NAMESPACE });
    const template = { metadata: { labels }, spec: { containers: [{ name: 'x', image: 'x' }] } };
    const path = (group: string, resource: string, of?: string): string =>
      resourcePath({ group, version: 'v1', resource, namespace: NAMESPACE, name: of });
    await fixture.client.create(path('', 'services'), {
      metadata: metadata(`${taken}-metrics`),
      spec: { selector: labels, ports: [{ port: 80 }] },
    });
    await fixture.client.create(path('apps', 'statefulsets'), {
      metadata: metadata(`${taken}-a`),
      spec: { replicas: 0, serviceName: 'x', selector: { matchLabels: labels }, template },
    });
    const foreign = [path('', 'services', `${taken}-metrics`), path('apps', 'statefulsets', `${taken}-a`)];
    const look = async (): Promise<unknown> =>
      Promise.all(
        foreign.map(async (one) => {
          const {
            resourceVersion: _,
            managedFields: __,
            ...meta
          } = objectSchema.parse(await fixture.client.get(one)).metadata;
          return meta;
        }),
      );
    // The simulated StatefulSet controller writes its status.
    await elapse(500);
    const before = await look();
    await fixture.manager();
    await fixture.createConfig(taken, SPEC);
    await fixture.eventually(async () => {
      const { status } = await fixture.config(taken);
      const degraded = status.conditions?.find(({ type }) => type === 'Degraded');
      const texts = [`Service ${NAMESPACE}/${taken}-metrics`, `StatefulSet ${NAMESPACE}/${taken}-a`];
      const says = texts.every((text) => degraded?.message.includes(`${text} exists and does not belong`));
      return degraded?.reason === 'NameTaken' && says ? undefined : JSON.stringify(degraded);
    });
    expect(await look()).toEqual(before);
    for (const one of foreign) await fixture.client.delete(one);
    await fixture.settled(taken, 2);
    await fixture.eventually(async () => {
      const { status } = await fixture.config(taken);
      const degraded = status.conditions?.find(({ type }) => type === 'Degraded');
      return degraded?.status === 'False' ? undefined : JSON.stringify(degraded);
    });
  });

  it('a leader that was stopped while another took over sends nothing when it goes on', async () => {
    // Its effects are due again long before it would look after its Lease: they are what it wakes up with.
    const env = {
      LEASE_DURATION: '12s',
      LEASE_RENEW_DEADLINE: '11s',
      LEASE_RETRY_PERIOD: '6s',
      RESYNC_INTERVAL: '60s',
    };
    await settledFleet(env, FORMER);
    const first = await fixture.leader();
    const second = await fixture.manager({ env });
    await fixture.eventually(async () =>
      (await second.get('/readyz')).status === 200 ? undefined : 'standby not ready',
    );
    const renewedAt = await fixture.leaseRenewedAt();
    await expect.poll(() => fixture.leaseRenewedAt(), { interval: 20 }).not.toBe(renewedAt);
    first.signal('SIGSTOP');
    let wokenAt: Date;
    try {
      await fixture.eventually(async () => ((await second.leads()) ? undefined : 'nobody has taken over'));
      // By then all that it knows of the workers is so old that its status would say something else.
      await fixture.settled(name, 2);
    } finally {
      wokenAt = new Date();
      first.signal('SIGCONT');
    }
    await fixture.eventually(async () =>
      first.output.includes('no longer leading') ? undefined : 'the first one still believes that it leads',
    );
    await elapse(2_000);
    // What was only begun counts, too: that it is broken off a moment later may be too late.
    expect(fixture.auditedWrites(wokenAt)).toEqual([]);
    expect(fixture.auditedWrites(new Date(0))).not.toEqual([]);
    expect(fixture.nodes.takeUncoveredMs()).toBe(0);
  });
});
