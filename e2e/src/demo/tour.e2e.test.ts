import { EVENT_STREAM, eventSubject } from '@shard-controller/shared/contracts';
import { resourcePath } from '@shard-controller/shared/kubernetes';
import { EventStream } from '@shard-controller/shared/nats';
import { createLogger } from '@shard-controller/shared/observability';
import { waitUntil } from '@shard-controller/shared/testing';
import {
  evolve,
  initialState,
  type ShardConfigState,
  type ShardEvent,
  shardEventSchema,
} from '@shard-controller/manager/aggregate';
import { decisionEnvelopeSchema, EventLog } from '@shard-controller/manager/event-log';
import { stateDigest } from '@shard-controller/manager/inspection';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { findProgram, productImages, WORKER_IMAGE } from '../cluster/index.ts';
import { CONFIG, Fleet, NAMESPACE, pause } from './fleet.ts';
import { type Phase, type PhaseResult, runPhase } from './phase.ts';
import { resize, TOUR } from './phases.ts';

const SEED = Number(process.env['E2E_SEED'] ?? 1);

const say = (text: string): void => void process.stdout.write(`${text}\n`);

let fleet: Fleet;
let stop: (() => Promise<void>) | undefined;

beforeAll(async () => {
  say(`seed ${SEED} (E2E_SEED)`);
  fleet = await Fleet.start({ pods: 500, churn: 20, seed: SEED, fakeNodes: 10, shards: 2, say });
  stop = () => fleet.stop();
  fleet.churn.resume();
});

afterAll(async () => {
  await stop?.();
});

async function run(phase: Phase): Promise<PhaseResult> {
  say(`\n== ${phase.name} ==`);
  const result = await runPhase(fleet, phase, say);
  say(JSON.stringify(result));
  return result;
}

const statusSchema = z.looseObject({ sequence: z.int(), stateDigest: z.string() });
const answerSchema = z.looseObject({ items: z.array(statusSchema) });

/** The leader's state against the fold of the stored log, at the same sequence. */
async function foldedAndLive(): Promise<{ readonly folded: string; readonly live: string }> {
  const { uid } = (await fleet.config()).metadata;
  const logger = createLogger({ name: 'fold', level: 'error' });
  const log = new EventLog<ShardEvent, ShardConfigState>({
    stream: new EventStream({ link: fleet.link, stream: EVENT_STREAM, schema: decisionEnvelopeSchema }),
    subject: eventSubject(NAMESPACE, CONFIG, uid),
    schema: shardEventSchema,
    initial: initialState,
    evolve: (state, event, sequence) => evolve(state, event, sequence),
    logger,
  });
  for (let tries = 0; tries < 50; tries++) {
    const answer = await fleet.link.request({ subject: 'shard.inspect.v1.status', body: {}, schema: answerSchema });
    const [live] = answer.kind === 'reply' && answer.reply.ok ? answer.reply.value.items : [];
    const { state } = await log.load();
    // A decision may fall between the two reads.
    if (live !== undefined && live.sequence === state.sequence)
      return { folded: stateDigest(state), live: live.stateDigest };
    await pause(100);
  }
  throw new Error('the leader never answered at the sequence of the log');
}

/** First, because the controller of a StatefulSet tells only some 25 events of it, and one more every 5 minutes. */
describe('a change that the cluster does not take', () => {
  const quota = resourcePath({
    group: '',
    version: 'v1',
    resource: 'resourcequotas',
    namespace: NAMESPACE,
    name: 'no-more-pods',
  });

  const says = (type: string, text: string): Promise<void> =>
    waitUntil(`${type} says "${text}"`, async () =>
      (await fleet.config()).status.conditions.some(
        (condition) => condition.type === type && condition.message.includes(text),
      ),
    );

  /** Puts everything right again, also after a test that failed. */
  const mend = async (): Promise<void> => {
    await fleet.patchConfig({ spec: { nodeSelector: null, shards: 2 } });
    await fleet.cluster.admin.delete(quota).catch(() => undefined);
    await fleet.converged(2, 180_000);
  };

  test('a template that fits on no node is named by the scheduler, and fewer shards are obeyed at once', async () => {
    const result = await run({
      ...resize(2, 2),
      name: 'template that fits nowhere',
      // Half of them goes to the one that stays, and comes back.
      minimum: (owners) => owners.length,
      act: async () => {
        await fleet.patchConfig({ spec: { nodeSelector: { disk: 'none' } } });
        await says('Degraded', 'nodes are available');
        await fleet.setShards(1);
        await waitUntil('one shard', async () => {
          const { shards, readyShards } = (await fleet.config()).status;
          return shards === 1 && readyShards === 1;
        });
        await mend();
      },
    });
    expect(result.failures).toEqual([]);
    await says('Degraded', 'no failure is known');
  });

  test('a pod that a quota refuses is named in the words of the API server, and made when the quota is gone', async () => {
    const { items } = await fleet.cluster.admin.list(quota.replace(/resourcequotas.*$/, 'pods'));
    const object = {
      apiVersion: 'v1',
      kind: 'ResourceQuota',
      metadata: { name: 'no-more-pods', namespace: NAMESPACE },
      spec: { hard: { pods: String(items.length) } },
    };
    const result = await run({
      ...resize(2, 2),
      name: 'pod that a quota refuses',
      // A third goes to the new one, and comes back.
      minimum: (owners) => 2 * Math.floor(owners.length / 3),
      act: async () => {
        await fleet.cluster.admin.apply({ object, fieldManager: 'test' });
        await waitUntil('the quota is counted', async () => {
          const seen = await fleet.cluster.admin.get<{ status?: { used?: object } }>(quota);
          return seen.status?.used !== undefined;
        });
        await fleet.setShards(3);
        await says('Degraded', 'exceeded quota: no-more-pods');
        await fleet.cluster.admin.delete(quota);
        await fleet.converged(3, 180_000);
        await mend();
      },
    });
    expect(result.failures).toEqual([]);
  });
});

describe('a fleet under churn', () => {
  test.each(TOUR.map((phase) => [phase.name, phase] as const))('%s', async (_, phase) => {
    const result = await run(phase);
    expect(result.failures).toEqual([]);
    expect(result.ticks).toBeGreaterThan(2);
    const { folded, live } = await foldedAndLive();
    expect(live).toBe(folded);
  });

  test('a worker pod that someone deletes drains before it ends', async () => {
    const [worker] = await fleet.workers();
    const result = await run({
      ...resize(2, 2),
      name: 'pod deleted',
      // Its slots go to the other worker and half of all come back.
      minimum: (owners) => owners.length,
      act: async () => {
        await fleet.cluster.admin.delete(`/api/v1/namespaces/${NAMESPACE}/pods/${worker?.metadata.name}`);
        await pause(1000);
        await replaced(worker?.metadata.uid ?? '');
        await fleet.converged(2, 120_000);
      },
    });
    expect(result.failures).toEqual([]);
  });
});

async function replaced(uid: string): Promise<void> {
  const deadline = performance.now() + 120_000;
  while ((await fleet.workers()).some((pod) => pod.metadata.uid === uid)) {
    if (performance.now() > deadline) throw new Error(`pod ${uid} did not end`);
    await pause(100);
  }
}

describe('a target that does not do its part', () => {
  const setFault = (fault: string | undefined): void => {
    const program = findProgram(productImages, WORKER_IMAGE);
    if (program === undefined) throw new Error('the process nodes know no worker image');
    const env = { ...program.env, ...(fault === undefined ? {} : { SHARD_CONTROLLER_TEST_FAULT: fault }) };
    for (const node of fleet.cluster.nodes) node.setImages({ [WORKER_IMAGE]: { ...program, env } });
  };

  // With one shard before and two after there is one migration, so the fault meets it for sure.
  beforeAll(async () => {
    await fleet.setShards(1);
    await fleet.converged(1, 120_000);
  });

  afterAll(async () => {
    setFault(undefined);
    await fleet.setShards(2);
    await fleet.converged(2, 120_000);
  });

  test.each(['omit-one', 'stop-feed', 'mute'])(
    '%s: the migration is rolled back and the source never stops serving',
    async (fault) => {
      setFault(fault);
      const rolledBack = new Promise<string>((resolve) => {
        const stop = fleet.log.onEvent((event) => {
          const isCommitted = event.type === 'shard.migration.committed.v1';
          if (!isCommitted && event.type !== 'shard.migration.rolledback.v1') return;
          stop();
          resolve(isCommitted ? 'not at all' : `${String(event['step'])}: ${String(event['reason'])}`);
        });
      });
      const result = await run({
        ...resize(1, 1),
        name: `fault ${fault}`,
        act: async () => {
          await fleet.setShards(2);
          say(`          rolled back in ${await rolledBack}`);
          await fleet.setShards(1);
          await fleet.converged(1, 120_000);
        },
      });
      expect(result.failures).toEqual([]);
      expect(result.slotsMoved).toBe(0);
    },
  );
});

describe('everything at once', () => {
  test('all workers, both managers and NATS killed together: complete again without help', async () => {
    const [workers, managers] = await Promise.all([fleet.workers(), fleet.managers()]);
    const start = performance.now();
    for (const pod of [...workers, ...managers]) {
      const node = fleet.cluster.nodeOf(NAMESPACE, pod.metadata.name);
      const containers = workers.includes(pod) ? ['worker', 'kube-state-metrics'] : ['manager'];
      for (const container of containers) node?.killContainer(pod.metadata.name, container);
    }
    await fleet.cluster.killNats();
    await fleet.cluster.startNats();
    await fleet.churn.pause();
    await fleet.converged(2, 180_000);
    const comparison = await fleet.verifier.compare(60_000);
    say(`complete again ${((performance.now() - start) / 1000).toFixed(1)} s after the kill`);
    expect(comparison).toMatchObject({ equal: true });
    fleet.churn.resume();
  });
});
