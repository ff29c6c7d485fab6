import {
  heartbeatSchema,
  isCounted,
  pingSubject,
  verifyReplySchema,
  verifySubject,
} from '@shard-controller/shared/contracts';
import { slotsToRanges } from '@shard-controller/shared/hashing';
import { readFileSync } from 'node:fs';
import { elapse } from '@shard-controller/shared/testing';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { NatsFront } from '../nats/nats-front.ts';
import {
  assignment,
  CONFIG,
  configUid,
  NAMESPACE,
  namesIn,
  SLOT_COUNT,
  slots,
  WorkerFixture,
} from './worker-fixture.ts';

const statusSchema = z.looseObject({
  status: z.looseObject({ replicas: z.array(z.looseObject({ lastHeartbeat: z.string() })) }),
});

let fixture: WorkerFixture;
let uids: ReadonlyMap<string, string>;

beforeAll(async () => {
  fixture = await WorkerFixture.start();
  uids = await fixture.createConfigMaps('map', 200);
});
afterEach(async () => {
  await fixture.endPods();
});
afterAll(async () => {
  await fixture?.stop();
});

const address = (shardId: string) => ({ namespace: NAMESPACE, config: CONFIG, shardId, replica: 'a' as const });

describe('a worker process with a real API server, NATS and kube-state-metrics', () => {
  it('becomes ready, serves exactly the objects of its slots, and says so on NATS and in its ShardInstance', async () => {
    const owned = slots(0, 128);
    await fixture.writeInstance(assignment('shard-000', 5, owned));
    const heard = fixture.heartbeats('shard-000');
    const pod = await fixture.pod({ ordinal: 0, env: { CAPACITY_OBJECTS: '1000' } });
    await pod.ready();
    expect(await pod.configMaps('map')).toEqual(namesIn(uids, owned));
    await pod.eventually(async () => (heard.at(-1)?.phase === 'Running' ? undefined : `phase ${heard.at(-1)?.phase}`));
    await expect
      .poll(() => heard.at(-1))
      .toMatchObject({
        uid: configUid(),
        generation: 1,
        epoch: 5,
        slots: { assigned: 128, acknowledged: 128 },
        exporter: { state: 'running' },
        gateway: { state: 'serving' },
      });
    await pod.eventually(async () => {
      const { status } = await fixture.instance('shard-000');
      const phase = typeof status === 'object' && status !== null && 'phase' in status ? status.phase : undefined;
      return phase === 'Running' ? undefined : `status.phase is ${String(phase)}`;
    });
    await expect
      .poll(() => fixture.instance('shard-000'))
      .toMatchObject({
        status: {
          assignedResources: expect.arrayContaining([expect.stringMatching(/^configmaps: \d+$/)]),
          load: expect.any(Number),
          replicas: [{ replica: 'a', pod: 'main-a-0', epoch: 5, gateway: 'serving' }],
        },
      });
    // Known from the next heartbeat on.
    await expect.poll(() => heard.at(-1)?.gateway.scrapers[0]?.id).toMatch(/^127\.0\.0\.1 node/);
    // Far below what a general Kubernetes client library alone would take.
    const rss = Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pod.worker.pid}/status`, 'utf8'))?.[1]) / 1024;
    expect(rss).toBeLessThan(200);
  });

  it('takes slots up and gives them back as its ShardInstance says, and nothing that NATS alone says', async () => {
    await fixture.writeInstance(assignment('shard-001', 1, slots(0, 64)));
    const pod = await fixture.pod({ ordinal: 1 });
    await pod.ready();
    const heard = fixture.heartbeats('shard-001');
    const shows = (to: number) => async (): Promise<string | undefined> => {
      const names = await pod.configMaps('map');
      return names.length === namesIn(uids, slots(0, to)).length ? undefined : `${names.length} of them`;
    };
    await fixture.writeInstance(assignment('shard-001', 2, slots(0, 96)));
    await pod.eventually(shows(96));
    expect(await pod.configMaps('map')).toEqual(namesIn(uids, slots(0, 96)));
    const release = slotsToRanges(slots(64, 96), SLOT_COUNT).map((range) => ({ ...range, migration: 'm1' }));
    const next = assignment('shard-001', 3, slots(0, 64), { releaseRanges: release });
    await fixture.apiServer.pause();
    try {
      // Nothing tells a forged release from a true one meanwhile; doubled series are better than lost ones.
      await fixture.publish('shard-001', next);
      await elapse(1500);
      expect(await pod.configMaps('map')).toEqual(namesIn(uids, slots(0, 96)));
    } finally {
      fixture.apiServer.resume();
    }
    await fixture.writeInstance(next);
    await pod.eventually(shows(64));
    await pod.eventually(async () =>
      heard.at(-1)?.handovers[0]?.state === 'released' ? undefined : JSON.stringify(heard.at(-1)?.handovers),
    );
  });

  it('needs no NATS to start and to serve, and takes it up when it comes', async () => {
    await fixture.nats.stop();
    try {
      await fixture.writeInstance(assignment('shard-002', 1, slots(0, 64)));
      const pod = await fixture.pod({ ordinal: 2 });
      await pod.ready();
      expect(await pod.configMaps('map')).toEqual(namesIn(uids, slots(0, 64)));
      await expect.poll(() => pod.worker.output).toMatch(/NATS cannot be reached: check NATS_URL/);
      const moved = slotsToRanges(slots(32, 64), SLOT_COUNT).map((range) => ({ ...range, migration: 'm1' }));
      await fixture.writeInstance(assignment('shard-002', 2, slots(0, 32), { releaseRanges: moved }));
      const shows = (to: number) => async (): Promise<string | undefined> => {
        const names = await pod.configMaps('map');
        return names.length === namesIn(uids, slots(0, to)).length ? undefined : `${names.length} of them`;
      };
      await expect.poll(async () => (await pod.health('/metrics')).text).toMatch(/^\S+_assignment_epoch 2$/m);
      // Nobody can say that another worker shows them.
      await elapse(1500);
      expect(await shows(64)()).toBeUndefined();
      await fixture.nats.restart();
      await pod.eventually(shows(32));
      const heard = fixture.heartbeats('shard-002');
      await pod.eventually(async () => (heard.length > 0 ? undefined : 'no heartbeat'));
    } finally {
      await fixture.nats.restart().catch(() => undefined);
    }
  });

  it.each([
    ['its connection to NATS is closed', (front: NatsFront) => front.block()],
    ['NATS answers nothing any more', (front: NatsFront) => front.swallowAnswers()],
  ])('renews its ShardInstance status every 2 s once %s', async (_, lose) => {
    await fixture.writeInstance(assignment('shard-004', 1, slots(0, 4)));
    const front = await NatsFront.start(fixture.nats.url);
    try {
      const pod = await fixture.pod({ ordinal: 4, env: { NATS_URL: front.url } });
      await pod.ready();
      const heard = fixture.heartbeats('shard-004');
      await pod.eventually(async () => (heard.length > 0 ? undefined : 'no heartbeat'));
      lose(front);
      const written = new Set<string>();
      await pod.eventually(async () => {
        const { status } = statusSchema.parse(await fixture.instance('shard-004'));
        for (const { lastHeartbeat } of status.replicas) written.add(lastHeartbeat);
        return written.size >= 6 ? undefined : `${written.size} renewals`;
      });
      // The first may be from before, the second came at once.
      const times = [...written].map((time) => Date.parse(time)).slice(1);
      const waits = times.slice(1).map((time, i) => time - (times[i] ?? 0));
      const [median = 0] = waits.toSorted((a, b) => a - b).slice(1);
      expect(median).toBeLessThan(5_000);
    } finally {
      await front.close();
    }
  });

  it('answers ping with a heartbeat and verify with counts', async () => {
    await fixture.writeInstance(assignment('shard-003', 1, slots(0, 64)));
    const pod = await fixture.pod({ ordinal: 3 });
    await pod.ready();
    const pong = heartbeatSchema.parse(await fixture.request(pingSubject(address('shard-003')), '{}'));
    expect(pong).toMatchObject({ shardId: 'shard-003', phase: 'Running' });
    const request = {
      v: 'shard.verify.v2',
      uid: configUid(),
      migration: 'm1',
      slots: '0-63',
      slotCount: SLOT_COUNT,
      question: { ask: 'kinds' },
    };
    const reply = verifyReplySchema.parse(
      await fixture.request(verifySubject(address('shard-003')), JSON.stringify(request)),
    );
    expect(reply.error).toBeUndefined();
    const { count = 0 } = reply.kinds.filter(isCounted).find(({ kind }) => kind === 'configmaps') ?? {};
    expect(count).toBeGreaterThanOrEqual(namesIn(uids, slots(0, 64)).length);
    const foreign = JSON.stringify({ ...request, uid: 'another' });
    expect(await fixture.request(verifySubject(address('shard-003')), foreign)).toMatchObject({
      error: expect.stringContaining('not another'),
    });
  });

  it('ignores forged assignments on NATS, and names them until a true one stands there again; invalid ones, too', async () => {
    const owned = slots(0, 64);
    await fixture.writeInstance(assignment('shard-004', 10, owned));
    const pod = await fixture.pod({ ordinal: 4 });
    await pod.ready();
    const heard = fixture.heartbeats('shard-004');
    const before = await pod.configMaps('map');

    await fixture.publish('shard-004', assignment('shard-004', 9, slots(64, 128)));
    // Only the last of a subject is kept: the next one would take its place before it is read.
    await expect
      .poll(async () => (await pod.health('/metrics')).text)
      .toMatch(/assignments_total\{source="nats",verdict="current"\} [1-9]/);
    const everything = slotsToRanges(owned, SLOT_COUNT).map((range) => ({ ...range, migration: 'm1' }));
    const forged = [
      { ...assignment('shard-004', 20, owned), slotCount: 512 },
      { ...assignment('shard-004', 22, owned), novelty: true },
      assignment('shard-004', 23, slots(64, 128)),
      assignment('shard-004', Number.MAX_SAFE_INTEGER, [], { releaseRanges: everything }),
      { ...assignment('shard-004', 1, []), generation: Number.MAX_SAFE_INTEGER },
      assignment('shard-004', 24, owned, { activeReplica: 'b' }),
    ];
    for (const content of forged) {
      await fixture.publish('shard-004', content);
      const named = `NATS names assignment ${content.generation}/${content.epoch}, which the ShardInstance does not hold`;
      await pod.eventually(async () => (heard.at(-1)?.note?.includes(named) ? undefined : `${heard.at(-1)?.note}`));
    }
    const ofAnother = { namespace: NAMESPACE, name: CONFIG, uid: 'forged' };
    await fixture.publish('shard-004', { ...assignment('shard-004', 30, owned), shardConfig: ofAnother });
    for (const invalid of ['', '{', 'null', '[]', '{"generation":"x"}', '\u0000\u0001', '"'.repeat(70_000 / 2)]) {
      if (invalid.length < 60_000) await fixture.publish('shard-004', invalid);
      fixture.send(pingSubject(address('shard-004')), invalid);
      fixture.send(verifySubject(address('shard-004')), invalid);
    }
    expect(await fixture.request(verifySubject(address('shard-004')), 'garbage')).toMatchObject({
      error: expect.any(String),
    });
    await elapse(500);
    expect(await pod.configMaps('map')).toEqual(before);
    expect(before).toEqual(namesIn(uids, owned));
    await expect
      .poll(() => heard.at(-1))
      .toMatchObject({ generation: 1, epoch: 10, phase: 'Running', gateway: { state: 'serving' } });
    const { text } = await pod.health('/metrics');
    expect(text).toMatch(/assignments_total\{source="nats",verdict="unconfirmed"\} [6-9]/);
    expect(text).toMatch(/assignments_total\{source="nats",verdict="invalid"\} [1-9]/);
    expect(pod.worker.output).toMatch(/ignored an assignment on NATS that is not in the ShardInstance/);

    await fixture.writeInstance(assignment('shard-004', 11, owned));
    await fixture.publish('shard-004', assignment('shard-004', 11, owned));
    await pod.eventually(async () =>
      heard.at(-1)?.epoch === 11 && heard.at(-1)?.note === undefined ? undefined : `${heard.at(-1)?.note}`,
    );
  });

  it('leaves scrapes to the other replica while that is the active one', async () => {
    await fixture.writeInstance(assignment('shard-005', 1, slots(0, 64)));
    const pod = await fixture.pod({ ordinal: 5, env: { SCRAPE_HOLD_MS: '100' } });
    await pod.ready();
    await expect.poll(async () => (await pod.scrape()).status).toBe(200);
    await fixture.writeInstance(assignment('shard-005', 2, slots(0, 64), { activeReplica: 'b' }));
    await pod.eventually(async () => ((await pod.scrape()).status === 503 ? undefined : 'still serving'));
    expect((await pod.scrape()).text).toMatch(/^standby: /);
    await expect.poll(async () => (await pod.health('/readyz')).status).toBe(200);
    await fixture.writeInstance(assignment('shard-005', 3, slots(0, 64), { activeReplica: 'a' }));
    await pod.eventually(async () => ((await pod.scrape()).status === 200 ? undefined : 'not serving'));
  });
});
