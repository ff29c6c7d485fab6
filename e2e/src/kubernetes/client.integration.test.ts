import {
  EventRecorder,
  inClusterEndpoint,
  KubernetesClient,
  KubernetesError,
  type KubernetesEndpoint,
  type KubernetesObject,
  resourcePath,
  staticEndpoint,
} from '@shard-controller/shared/kubernetes';
import { createLogger } from '@shard-controller/shared/observability';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { elapse } from '@shard-controller/shared/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type StandaloneApiServer, startApiServer } from '../cluster/standalone-api-server.ts';

interface ConfigMap extends KubernetesObject {
  readonly data?: Readonly<Record<string, string>>;
}

interface StoredEvent extends KubernetesObject {
  readonly reason: string;
  readonly note: string;
  readonly series?: { readonly count: number };
}

const logger = createLogger({ name: 'test', level: 'silent' });
const CONFIG_MAPS = resourcePath({ group: '', version: 'v1', resource: 'configmaps', namespace: 'default' });
const PODS = resourcePath({ group: '', version: 'v1', resource: 'pods', namespace: 'default' });

let server: StandaloneApiServer;
let admin: KubernetesClient;

function clientOf(endpoint: KubernetesEndpoint): KubernetesClient {
  return new KubernetesClient({ endpoint, logger, userAgent: 'shard-controller-test' });
}

function configMap(name: string, data: Readonly<Record<string, string>>): ConfigMap {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace: 'default' }, data };
}

function pod(name: string): KubernetesObject & { readonly spec: unknown } {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'default' },
    spec: {
      nodeName: 'nowhere',
      terminationGracePeriodSeconds: 300,
      containers: [{ name: 'main', image: 'none' }],
    },
  };
}

async function failureOf(promise: Promise<unknown>): Promise<KubernetesError> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof KubernetesError) return error;
  throw new Error('expected a KubernetesError', { cause: error });
}

beforeAll(async () => {
  server = await startApiServer();
  admin = clientOf(staticEndpoint({ server: server.server, ca: server.ca, token: server.adminToken }));
});

afterAll(async () => {
  await admin.close();
  await server.stop();
});

describe('server-side apply on a real API server', () => {
  it('creates, merges fields of two managers, refuses a conflict, and takes over by force', async () => {
    await admin.apply({ object: configMap('shared', { a: '1' }), fieldManager: 'first' });
    const merged = await admin.apply<ConfigMap>({ object: configMap('shared', { b: '2' }), fieldManager: 'second' });
    expect(merged.data).toEqual({ a: '1', b: '2' });

    const conflict = await failureOf(admin.apply({ object: configMap('shared', { a: '3' }), fieldManager: 'second' }));
    expect(conflict).toMatchObject({ code: 'SC_KUBERNETES_CONFLICT', status: 409 });
    expect(conflict.message).toContain('conflict with "first"');

    const forced = await admin.apply<ConfigMap>({
      object: configMap('shared', { a: '3' }),
      fieldManager: 'second',
      force: true,
    });
    // `b` is no longer in what the second manager applies, so it goes.
    expect(forced.data).toEqual({ a: '3' });
  });

  it('refuses a kind that the server does not serve, with the remedy', async () => {
    const object = { apiVersion: 'apps/v1', kind: 'Nothing', metadata: { name: 'x', namespace: 'default' } };
    const error = await failureOf(admin.apply({ object, fieldManager: 'first' }));
    expect(error.code).toBe('SC_KUBERNETES_UNKNOWN_KIND');
  });
});

describe('DELETE with a body on a real API server', () => {
  it('obeys gracePeriodSeconds: 0 removes a bound pod at once, the default only marks it', async () => {
    await admin.create(PODS, pod('patient'));
    await admin.delete(`${PODS}/patient`);
    expect((await admin.get<KubernetesObject>(`${PODS}/patient`)).metadata?.deletionTimestamp).toBeDefined();
    await admin.delete(`${PODS}/patient`, { gracePeriodSeconds: 0 });
    expect(await admin.find(`${PODS}/patient`)).toBeUndefined();
  });

  it('obeys preconditions: another uid is a conflict, and the object stays', async () => {
    await admin.create(CONFIG_MAPS, configMap('guarded', {}));
    const error = await failureOf(
      admin.delete(`${CONFIG_MAPS}/guarded`, { preconditions: { uid: '00000000-0000-0000-0000-000000000000' } }),
    );
    expect(error.status).toBe(409);
    expect(await admin.find(`${CONFIG_MAPS}/guarded`)).toBeDefined();
  });
});

describe('who may do what', () => {
  it('names the right that is missing', async () => {
    const token = server.tokenFor('system:serviceaccount:monitoring:worker', ['system:serviceaccounts']);
    const worker = clientOf(staticEndpoint({ server: server.server, ca: server.ca, token }));
    const path = resourcePath({ group: 'apps', version: 'v1', resource: 'statefulsets', namespace: 'x', name: 'y' });
    const error = await failureOf(worker.get(path));
    expect(error.message).toContain(
      'grant `get` on `statefulsets.apps` in namespace x to ServiceAccount monitoring/worker',
    );
    await worker.close();
  });

  it('says that a token is not accepted', async () => {
    const wrong = clientOf(staticEndpoint({ server: server.server, ca: server.ca, token: 'wrong' }));
    const error = await failureOf(wrong.get(CONFIG_MAPS));
    expect(error.code).toBe('SC_KUBERNETES_UNAUTHORIZED');
    expect(error.message).toContain('check the projected ServiceAccount token');
    await wrong.close();
  });

  it('follows a rotated token file without a restart', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'shard-token-'));
    const { hostname, port } = new URL(server.server);
    const first = server.tokenFor('rotating', ['system:masters']);
    writeFileSync(join(folder, 'token'), first);
    writeFileSync(join(folder, 'ca.crt'), server.ca);
    const env = { KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: port };
    const rotating = clientOf(inClusterEndpoint({ env, folder }));
    await rotating.get(CONFIG_MAPS);
    writeFileSync(join(folder, 'token'), server.tokenFor('rotating', ['system:masters']));
    server.revoke(first);
    // The server remembers a token for 10 s; from then on the old one would be refused.
    await elapse(11_000);
    expect(await rotating.get(CONFIG_MAPS)).toMatchObject({ kind: 'ConfigMapList' });
    await rotating.close();
    rmSync(folder, { recursive: true });
  });
});

describe('Kubernetes Events on a real API server', () => {
  it('are accepted, shown on their object, and counted when repeated', async () => {
    const regarding = await admin.create<KubernetesObject>(CONFIG_MAPS, configMap('eventful', {}));
    const recorder = new EventRecorder({
      client: admin,
      logger,
      controller: 'shard.io/shard-controller',
      instance: 'manager-0',
    });
    const stop = new AbortController();
    const running = recorder.run(stop.signal);
    const note = { type: 'Warning', reason: 'ShardFailed', action: 'Failover', note: 'shard-000 is gone' } as const;
    recorder.record({ ...regarding, apiVersion: 'v1', kind: 'ConfigMap' }, note);
    const events = resourcePath({ group: 'events.k8s.io', version: 'v1', resource: 'events', namespace: 'default' });
    const query = { fieldSelector: 'regarding.name=eventful' };
    const stored = async (): Promise<readonly StoredEvent[]> =>
      (await admin.list<StoredEvent>(events, { query })).items;
    await expect.poll(async () => (await stored()).length).toBe(1);
    recorder.record({ ...regarding, apiVersion: 'v1', kind: 'ConfigMap' }, note);
    recorder.record({ ...regarding, apiVersion: 'v1', kind: 'ConfigMap' }, note);
    stop.abort();
    await running;
    expect(await stored()).toMatchObject([{ reason: 'ShardFailed', note: 'shard-000 is gone', series: { count: 3 } }]);
  });
});
