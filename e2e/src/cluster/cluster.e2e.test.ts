import { readdirSync } from 'node:fs';
import { KubernetesError } from '@shard-controller/shared/kubernetes';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Cluster, startCluster } from './cluster.ts';
import { processes } from './process-node/index.ts';
import { answersHttp } from './readiness.ts';

let cluster: Cluster;

beforeAll(async () => {
  cluster = await startCluster();
});

afterAll(async () => {
  await cluster.stop();
});

describe('a cluster', () => {
  it('serves Kubernetes 1.37 with server-side shard selectors', async () => {
    const version = await cluster.admin.get<{ gitVersion: string }>('/version');
    expect(version.gitVersion).toMatch(/^v1\.37\./);
    for (let index = 0; index < 8; index += 1) await createConfigMap(cluster, `sharded-${index}`);
    const half = await cluster.admin.list<unknown>('/api/v1/namespaces/default/configmaps', {
      query: { shardSelector: "shardRange(object.metadata.uid, '0x0000000000000000', '0x8000000000000000')" },
    });
    const all = await cluster.admin.list<unknown>('/api/v1/namespaces/default/configmaps');
    expect(all.items.length).toBeGreaterThan(half.items.length);
  });

  it('gives a token to a ServiceAccount that may do nothing by itself', async () => {
    const client = cluster.clientFor(await cluster.serviceAccountToken('default', 'default'));
    await expect(client.get('/api/v1/namespaces/default/pods')).rejects.toThrow(KubernetesError);
    await expect(client.get('/version')).resolves.toBeDefined();
  });

  it('lets kwok make fake nodes Ready', async () => {
    await cluster.admin.create('/api/v1/nodes', {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name: 'fake-1', annotations: { 'kwok.x-k8s.io/node': 'fake' } },
    });
    await expect.poll(() => isNodeReady(cluster, 'fake-1')).toBe(true);
  });

  it('keeps its objects over a restart of the API server, ordered or killed', async () => {
    await createConfigMap(cluster, 'kept');
    await cluster.restartApiServer();
    await expect(cluster.admin.get('/api/v1/namespaces/default/configmaps/kept')).resolves.toBeDefined();
    await cluster.killApiServer();
    await cluster.startApiServer();
    await expect(cluster.admin.get('/api/v1/namespaces/default/configmaps/kept')).resolves.toBeDefined();
  });

  it('stops, starts, pauses and resumes NATS', async () => {
    const answers = answersHttp('http://127.0.0.1:8222/healthz');
    expect(await answers()).toBe(true);
    await cluster.stopNats();
    expect(await answers()).toBe(false);
    await cluster.startNats();
    expect(await answers()).toBe(true);
    await cluster.pauseNats();
    expect(await answers()).toBe(false);
    cluster.resumeNats();
    await expect.poll(answers).toBe(true);
  });

  it('has a log file for each of its processes', () => {
    expect(readdirSync(cluster.logFolder)).toEqual(
      expect.arrayContaining(['etcd.log', 'kube-apiserver.log', 'kube-scheduler.log', 'kwok.log', 'nats-server.log']),
    );
  });
});

describe('a second cluster in the same namespace', () => {
  it('ends what the first one left, and starts without the shard selectors when asked', async () => {
    // As after a crash of the process that held the first: nothing was stopped.
    const left = cluster.controlPlane.kwok?.pid;
    const second = await startCluster({ shardedListAndWatch: false });
    try {
      expect(processes()).not.toContain(left);
      const gate = await second.admin.request<unknown>({ method: 'GET', path: '/version' });
      expect(gate).toBeDefined();
      await createConfigMap(second, 'a');
      const ignored = await second.admin.list<unknown>('/api/v1/namespaces/default/configmaps', {
        query: { shardSelector: "shardRange(object.metadata.uid, '0x0000000000000000', '0x0000000000000001')" },
      });
      expect(ignored.items.length).toBeGreaterThan(0);
    } finally {
      await second.stop();
    }
  });
});

async function createConfigMap(target: Cluster, name: string): Promise<void> {
  await target.admin.create('/api/v1/namespaces/default/configmaps', {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name },
  });
}

async function isNodeReady(target: Cluster, name: string): Promise<boolean> {
  const node = await target.admin.get<{ status?: { conditions?: { type: string; status: string }[] } }>(
    `/api/v1/nodes/${name}`,
  );
  return node.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false;
}
