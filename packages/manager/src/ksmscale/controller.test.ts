import { EventRecorder, KubernetesClient, staticEndpoint } from '@shard-controller/shared/kubernetes';
import { FakeApiServer, sendStatus } from '@shard-controller/shared/kubernetes/testing';
import { createLogger, createMetrics } from '@shard-controller/shared/observability';
import { systemClock } from '@shard-controller/shared/runtime';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { KsmScaleController } from './controller.ts';
import { KsmScaleMetrics } from './metrics.ts';

const SCALES = '/apis/monitor.example.com/v1alpha1/ksmscales';
const NODES = '/api/v1/nodes';
const PODS = '/api/v1/namespaces/monitoring/pods';
const SERVICES = '/api/v1/namespaces/monitoring/services';
const logger = createLogger({ name: 'test', level: 'silent' });

const statusSchema = z.looseObject({
  status: z
    .looseObject({
      phase: z.string().optional(),
      desiredReplicas: z.number().optional(),
      conditions: z.array(z.looseObject({ type: z.string(), status: z.string(), message: z.string() })).default([]),
    })
    .prefault({}),
});

/** A leadership that is ours from the start, until `end`. */
class Lead {
  readonly #term = new AbortController();
  get leads(): boolean {
    return !this.#term.signal.aborted;
  }
  get term() {
    return this.leads ? { signal: this.#term.signal } : undefined;
  }
  get untilTerm(): AbortSignal {
    return this.leads ? AbortSignal.abort() : new AbortController().signal;
  }
  end(): void {
    this.#term.abort();
  }
}

let server: FakeApiServer;
let client: KubernetesClient;
let lead: Lead;
let stop: AbortController;
let running: Promise<void>;

beforeEach(async () => {
  server = await FakeApiServer.start();
  client = new KubernetesClient({
    endpoint: staticEndpoint({ server: server.url, ca: server.serving.certificate, token: 't' }),
    logger,
    userAgent: 'test',
  });
  lead = new Lead();
  stop = new AbortController();
  setNodes(16);
});

afterEach(async () => {
  stop.abort();
  await running;
  await client.close();
  await server.stop();
});

function setNodes(count: number): void {
  const nodes = server.store(NODES);
  for (let index = 0; index < count; index += 1) nodes.put(`node-${index}`);
}

function putScale(name: string, spec: object): void {
  server.store(SCALES).put(name, {
    apiVersion: 'monitor.example.com/v1alpha1',
    kind: 'KSMScale',
    metadata: { generation: 1 },
    spec,
  });
}

function run(): void {
  const controller = new KsmScaleController({
    client,
    settings: { namespaces: ['monitoring'], fixedUser: true },
    leading: lead,
    recorder: new EventRecorder({ client, logger, controller: 'test/test', instance: 'test' }),
    metrics: new KsmScaleMetrics(createMetrics()),
    clock: systemClock,
    logger,
  });
  running = controller.run(stop.signal);
}

const podNames = (): readonly string[] =>
  server
    .store(PODS)
    .list()
    .map(({ metadata }) => metadata.name);

const statusOf = (name: string) => statusSchema.parse(server.store(SCALES).get(name) ?? {}).status;

const degraded = (name: string): string | undefined =>
  statusOf(name).conditions.find(({ type, status }) => type === 'Degraded' && status === 'True')?.message;

describe('KsmScaleController', () => {
  it('makes the pods that the nodes ask for, their Service, and a status', async () => {
    putScale('example', {});
    run();
    await expect.poll(podNames).toEqual(['kube-state-metrics-example-0', 'kube-state-metrics-example-1']);
    await expect.poll(() => statusOf('example')).toMatchObject({ desiredReplicas: 2, phase: 'Ready' });
    expect(
      server
        .store(SERVICES)
        .list()
        .map(({ metadata }) => metadata.name),
    ).toEqual(['kube-state-metrics-example']);
    setNodes(31);
    await expect.poll(podNames).toHaveLength(3);
  });

  it('reads nodes by their metadata only', async () => {
    putScale('example', {});
    run();
    await expect.poll(podNames).toHaveLength(2);
    const accepted = server.requests.filter(({ path }) => path === NODES).map(({ headers }) => headers.accept);
    expect(accepted.every((accept) => accept?.includes('as=PartialObjectMetadata') === true)).toBe(true);
  });

  it('goes on with the others when one request fails, says so, and tries again', async () => {
    server.inject('object', (_seen, response) => sendStatus(response, 403, 'Forbidden', 'exceeded quota: pods=1'));
    putScale('example', {});
    run();
    const isSaid = () =>
      server.requests.some(({ path, body }) => path.endsWith('/status') && body.includes('exceeded quota: pods=1'));
    await expect.poll(isSaid).toBe(true);
    await expect.poll(podNames).toHaveLength(2);
    await expect.poll(() => degraded('example')).toBeUndefined();
  });

  it('writes nothing while another manager leads', async () => {
    lead.end();
    putScale('example', {});
    run();
    await expect.poll(() => server.seen('watch').length).toBeGreaterThan(3);
    expect(server.requests.filter(({ method }) => method !== 'GET')).toEqual([]);
  });

  it('names what is wrong with a spec that was stored before the rules', async () => {
    putScale('old', { sharding: { enabled: true, shardGroups: 3 } });
    run();
    await expect.poll(() => degraded('old') ?? '').toContain('shardGroups is a field of mode Groups');
    const writes = () => server.requests.filter(({ path }) => path.endsWith('/old/status')).length;
    server.store(SCALES).put('old', { ...server.store(SCALES).get('old') });
    await expect.poll(() => server.store(SCALES).get('old')?.metadata.resourceVersion).toBeDefined();
    expect(writes()).toBe(1);
  });

  it('keeps the last valid form in force while the newest one is not valid', async () => {
    putScale('example', {});
    run();
    await expect.poll(podNames).toHaveLength(2);
    putScale('example', { sharding: { enabled: true, shardGroups: 3 } });
    await expect.poll(() => degraded('example') ?? '').toContain('Its last valid form is in force');
    setNodes(31);
    await expect.poll(podNames).toHaveLength(3);
    putScale('example', {});
    server.store(SCALES).put('example', { ...server.store(SCALES).get('example'), metadata: { generation: 2 } });
    await expect.poll(() => degraded('example')).toBeUndefined();
  });

  it('keeps no pods in a namespace that it was not given', async () => {
    putScale('example', { namespace: 'elsewhere' });
    run();
    await expect.poll(() => degraded('example') ?? '').toContain('KSMSCALE_NAMESPACES');
    expect(server.requests.filter(({ method }) => method === 'POST')).toEqual([]);
  });
});
