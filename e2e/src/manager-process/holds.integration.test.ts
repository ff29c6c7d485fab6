import {
  evolve,
  initialState,
  type ShardConfigState,
  type ShardEvent,
  shardEventSchema,
} from '@shard-controller/manager/aggregate';
import { decisionEnvelopeSchema, EventLog } from '@shard-controller/manager/event-log';
import { ASSIGNMENT_STREAM, EVENT_STREAM, eventSubject } from '@shard-controller/shared/contracts';
import { resourcePath } from '@shard-controller/shared/kubernetes';
import { EventStream } from '@shard-controller/shared/nats';
import { createLogger } from '@shard-controller/shared/observability';
import { elapse } from '@shard-controller/shared/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { type Manager, ManagerFixture, NAMESPACE } from './manager-fixture.ts';

const NAME = 'main';
const SURGE_POD = `${NAME}-s-1000`;
const UNSCHEDULABLE = '0/2 nodes are available: 2 node(s) did not match the node selector.';
const QUOTA = `pods "${NAME}-a-2" is forbidden: exceeded quota: few, requested: pods=1, used: pods=2, limited: pods=2`;

const statefulSetSchema = z.looseObject({
  spec: z.looseObject({
    replicas: z.int(),
    template: z.looseObject({ metadata: z.looseObject({ labels: z.record(z.string(), z.string()) }) }),
  }),
});

/** What holds a manager up is said, and holds up nothing else. */
describe('a manager that has to wait', () => {
  let fixture: ManagerFixture;
  let manager: Manager;

  const path = (group: string, resource: string, name?: string, subresource?: string): string =>
    resourcePath({ group, version: 'v1', resource, namespace: NAMESPACE, name, subresource });

  const condition = async (type: string) =>
    (await fixture.config(NAME)).status.conditions?.find((one) => one.type === type);

  const says = async (type: string, reason: string, text: string): Promise<void> =>
    fixture.eventually(async () => {
      const seen = await condition(type);
      return seen?.reason === reason && seen.message.includes(text) ? undefined : JSON.stringify(seen);
    });

  const statefulSet = async (name: string) =>
    statefulSetSchema.parse(await fixture.client.get(path('apps', 'statefulsets', name))).spec;

  const shards = async (): Promise<number | undefined> => (await fixture.config(NAME)).status.desiredShards;

  beforeAll(async () => {
    fixture = await ManagerFixture.start();
    manager = await fixture.manager();
    await fixture.leader();
    await fixture.createConfig(NAME, { mode: 'Manual', shards: 3, minShards: 1, maxShards: 6 });
    await fixture.settled(NAME, 3);
    await fixture.balanced(3);
  });

  afterAll(async () => {
    await fixture?.stop();
  });

  it('for a surge worker says so in the words of the scheduler, and goes on with the old template', async () => {
    const before = (await statefulSet(`${NAME}-a`)).template.metadata.labels['shard.io/revision'];
    await fixture.nodes.loseNode(SURGE_POD);
    await fixture.patchConfig(NAME, { nodeSelector: { disk: 'none' } });
    await fixture.eventually(async () => {
      const now = new Date().toISOString();
      const refused = { type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message: UNSCHEDULABLE };
      await fixture.client.patch(path('', 'pods', SURGE_POD, 'status'), {
        status: { phase: 'Pending', conditions: [{ ...refused, lastTransitionTime: now }] },
      });
      return undefined;
    });
    await says('Degraded', 'PodUnschedulable', UNSCHEDULABLE);
    await says('Progressing', 'RollingUpdate', UNSCHEDULABLE);
    await fixture.patchConfig(NAME, { shards: 4 });
    await fixture.eventually(async () => ((await shards()) === 4 ? undefined : 'not obeyed'));
    await fixture.balanced(4);
    await fixture.patchConfig(NAME, { shards: 2 });
    await fixture.eventually(async () => ((await shards()) === 2 ? undefined : 'not obeyed'));
    await fixture.balanced(2);
    const { replicas, template } = await statefulSet(`${NAME}-a`);
    expect(template.metadata.labels['shard.io/revision']).toBe(before);
    await fixture.eventually(async () => ((await statefulSet(`${NAME}-a`)).replicas === 2 ? undefined : `${replicas}`));
    expect(fixture.nodes.takeUncoveredMs()).toBe(0);
  });

  it('recovers by itself when the template is put back, and another one is rolled out', async () => {
    await fixture.client.patch(path('shard.io', 'shardconfigs', NAME), { spec: { nodeSelector: null } });
    await says('Degraded', 'AsExpected', '');
    await fixture.eventually(async () => {
      const names = await fixture.client.list<{ metadata: { name: string } }>(path('apps', 'statefulsets'));
      return names.items.some(({ metadata }) => metadata.name === `${NAME}-s`)
        ? 'the surge worker is there'
        : undefined;
    });
    fixture.nodes.returnNode(SURGE_POD);
    const before = (await statefulSet(`${NAME}-a`)).template.metadata.labels['shard.io/revision'];
    await fixture.patchConfig(NAME, { podAnnotations: { rolled: 'yes' } });
    await fixture.eventually(async () => {
      const { template } = await statefulSet(`${NAME}-a`);
      const { status } = await fixture.config(NAME);
      const revision = template.metadata.labels['shard.io/revision'];
      const isNew = revision !== before && revision === status['revision'];
      return isNew && status.updatedShards === 2 ? undefined : 'not rolled out';
    });
    await fixture.settled(NAME, 2);
    expect(fixture.nodes.takeUncoveredMs()).toBe(0);
  });

  it('for a pod that is refused quotes the API server, and no more when it is made', async () => {
    const refused = {
      metadata: { generateName: `${NAME}-a.`, namespace: NAMESPACE },
      involvedObject: { apiVersion: 'apps/v1', kind: 'StatefulSet', namespace: NAMESPACE, name: `${NAME}-a` },
      type: 'Warning',
      reason: 'FailedCreate',
      message: `Create Pod ${NAME}-a-2 in StatefulSet ${NAME}-a failed error: ${QUOTA}`,
      source: { component: 'statefulset-controller' },
    };
    fixture.nodes.refuse(`${NAME}-a-2`);
    await fixture.patchConfig(NAME, { shards: 3 });
    const now = new Date().toISOString();
    await fixture.client.create(path('', 'events'), { ...refused, firstTimestamp: now, lastTimestamp: now, count: 1 });
    await says('Degraded', 'PodRefused', QUOTA);
    fixture.nodes.refuse();
    await fixture.settled(NAME, 3);
    await says('Degraded', 'AsExpected', '');
    expect(fixture.nodes.takeUncoveredMs()).toBe(0);
  });

  it('makes a deleted stream of the assignments again, and says that it was gone', async () => {
    const { jsm } = (await fixture.link()).session();
    await jsm.streams.delete(ASSIGNMENT_STREAM);
    await fixture.eventually(async () => {
      const subjects = await fixture.assignmentSubjects();
      return subjects.length === 3 ? undefined : `${subjects.length} assignments`;
    });
    await expect.poll(async () => (await fixture.events(NAME)).join()).toContain('StreamRestored');
    await says('Degraded', 'AsExpected', '');
  });

  /** Restarts the manager with a log that is ahead of the API server, as if that had been put back to a backup. */
  const restartedAfter = async (make: (state: ShardConfigState) => ShardEvent): Promise<void> => {
    await manager.kill();
    const { uid } = (await fixture.config(NAME)).metadata;
    const log = new EventLog<ShardEvent, ShardConfigState>({
      stream: new EventStream({ link: await fixture.link(), stream: EVENT_STREAM, schema: decisionEnvelopeSchema }),
      subject: eventSubject(NAMESPACE, NAME, uid),
      schema: shardEventSchema,
      initial: initialState,
      evolve,
      logger: createLogger({ name: 'test', level: 'silent' }),
    });
    const head = await log.load();
    const stored = await log.append(head, {
      at: Date.now(),
      manager: { identity: 'test', term: 1 },
      generation: head.state.generation,
      command: 'test',
      reason: 'test',
      events: [make(head.state)],
    });
    expect(stored.kind).toBe('appended');
    manager = await fixture.manager();
    await fixture.leader();
  };

  it('takes a spec whose generation has gone back, and a ShardConfig that was deleted and exists again', async () => {
    await restartedAfter(({ uid, namespace, name, settings, revision }) => {
      if (settings === null) throw new Error('no settings');
      const specGeneration = 1_000_000;
      return {
        type: 'shard.config.accepted.v1',
        at: Date.now(),
        uid,
        namespace,
        name,
        specGeneration,
        settings,
        revision,
      };
    });
    await fixture.patchConfig(NAME, { shards: 4 });
    await fixture.settled(NAME, 4);
    await restartedAfter(() => ({ type: 'shard.config.deleted.v1', at: Date.now() }));
    await fixture.patchConfig(NAME, { shards: 3 });
    const { status } = await fixture.settled(NAME, 3);
    expect(status.logGeneration).toBe(2);
    await expect.poll(async () => (await fixture.events(NAME)).join()).toContain('was deleted and exists again');
    expect(fixture.nodes.takeUncoveredMs()).toBe(0);
  });

  it('keeps the status over a change of manager, also under an invalid spec, whose pods it goes on managing', async () => {
    await fixture.withoutRules('shardconfigs', async () => {
      await fixture.client.patch(path('shard.io', 'shardconfigs', NAME), { spec: { healthCheckInterval: 'soon' } });
    });
    await says('Degraded', 'InvalidSpec', 'healthCheckInterval');
    const seen = new Set<string>();
    const ended = new AbortController();
    const watching = (async () => {
      while (!ended.signal.aborted) {
        const { status } = await fixture.config(NAME);
        const ready = status.conditions?.find(({ type }) => type === 'Ready');
        seen.add(`${status.shards} ${String(status['selector'] !== undefined)} ${ready?.status}`);
        await elapse(100);
      }
    })();
    await manager.kill();
    manager = await fixture.manager();
    await fixture.leader();
    await fixture.client.patch(path('apps', 'statefulsets', `${NAME}-a`), { spec: { replicas: 4 } });
    await fixture.eventually(async () => {
      const { replicas } = await statefulSet(`${NAME}-a`);
      return replicas === 3 ? undefined : `${replicas} replicas`;
    });
    await says('Degraded', 'InvalidSpec', 'healthCheckInterval');
    ended.abort();
    await watching;
    expect([...seen]).toEqual(['3 true True']);
  });
});
