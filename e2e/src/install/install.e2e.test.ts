import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type KubernetesClient, KubernetesError, resourcePath } from '@shard-controller/shared/kubernetes';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Cluster, startCluster } from '../cluster/index.ts';
import { install } from './install.ts';
import { REFERENCE_PORTS, referenceExporterPod } from './reference-exporter.ts';
import { chartRights } from './rights.ts';

const NAMESPACE = 'monitoring';
const MANAGER_ACCOUNT = 'shard-controller-manager';
const WORKER_ACCOUNT = 'shard-controller-worker';

let cluster: Cluster;

beforeAll(async () => {
  cluster = await startCluster({ fakeNodes: false });
  await Promise.all([cluster.addNode('process-node-1'), cluster.addNode('process-node-2')]);
  await install(cluster.admin, { namespace: NAMESPACE, nats: cluster.nats });
});

afterAll(async () => {
  await cluster.stop();
});

describe('an installation', () => {
  it('can be repeated', async () => {
    await expect(install(cluster.admin, { namespace: NAMESPACE, nats: cluster.nats })).resolves.toBeUndefined();
  });

  it('runs two managers on different nodes, ready', async () => {
    const ready = async (): Promise<readonly string[]> => {
      const list = await cluster.admin.list<{
        readonly spec: { readonly nodeName: string };
        readonly status: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
      }>(pods(NAMESPACE), { query: { labelSelector: 'app.kubernetes.io/component=manager' } });
      return list.items
        .filter(({ status }) => status.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True'))
        .map(({ spec }) => spec.nodeName)
        .toSorted();
    };
    await expect.poll(ready, { interval: 200 }).toEqual(['process-node-1', 'process-node-2']);
  });
});

describe("a worker's account", () => {
  it('may list everything that the exporter shows, and change none of it', async () => {
    const client = await clientOf(WORKER_ACCOUNT);
    const groups = await cluster.admin.get<GroupList>('/apis');
    const { exported } = await chartRights(NAMESPACE);
    for (const { apiGroups, resources } of exported) {
      const [group = ''] = apiGroups;
      const version = group === '' ? 'v1' : versionOf(groups, group);
      for (const resource of resources) {
        await expect(
          client.list(resourcePath({ group, version, resource }), { query: { limit: 1 } }),
        ).resolves.toBeDefined();
      }
    }
    expect(await statusOf(client.create(pods(NAMESPACE), {}))).toBe(403);
    expect(await statusOf(client.delete(`${pods(NAMESPACE)}/any`))).toBe(403);
  });

  it('may report in the status of ShardInstances of its namespace, not assign slots', async () => {
    const client = await clientOf(WORKER_ACCOUNT);
    expect(await statusOf(client.patch(instances(NAMESPACE, 'absent', 'status'), {}))).toBe(404);
    expect(await statusOf(client.patch(instances(NAMESPACE, 'absent'), {}))).toBe(403);
    expect(await statusOf(client.get(instances('default', 'absent')))).toBe(403);
  });
});

describe("a manager's account", () => {
  it('is confined to its namespace and sees no Secret', async () => {
    const client = await clientOf(MANAGER_ACCOUNT);
    await expect(client.list(pods(NAMESPACE))).resolves.toBeDefined();
    expect(await statusOf(client.list(pods('default')))).toBe(403);
    const secrets = resourcePath({ group: '', version: 'v1', resource: 'secrets', namespace: NAMESPACE });
    expect(await statusOf(client.list(secrets))).toBe(403);
    expect(await statusOf(client.create(pods(NAMESPACE), {}))).toBe(403);
  });
});

describe('the reference exporter', () => {
  it('shows the pods of the cluster and is refused nothing', async () => {
    const pod = referenceExporterPod({ namespace: NAMESPACE, labelsAllowlist: ['pods=[*]'] });
    await cluster.admin.apply({ object: pod, fieldManager: 'test' });
    const { name } = pod.metadata;
    const metrics = async (): Promise<string> => {
      const ip = cluster.nodeOf(NAMESPACE, name)?.podIp(name);
      if (ip === undefined) return '';
      const answer = await fetch(`http://${ip}:${REFERENCE_PORTS.metrics}/metrics`).catch(() => undefined);
      return (await answer?.text()) ?? '';
    };
    await expect.poll(metrics, { interval: 200 }).toContain(`kube_pod_info{namespace="${NAMESPACE}",pod="${name}"`);
    expect(await metrics()).toContain('label_app_kubernetes_io_name="kube-state-metrics-reference"');
    const folder = join(cluster.logFolder, 'pods');
    const [log = ''] = readdirSync(folder).filter((file) => file.includes(name));
    expect(readFileSync(join(folder, log), 'utf8')).not.toContain('forbidden');
  });
});

async function clientOf(account: string): Promise<KubernetesClient> {
  return cluster.clientFor(await cluster.serviceAccountToken(NAMESPACE, account));
}

async function statusOf(work: Promise<unknown>): Promise<number> {
  try {
    await work;
    return 200;
  } catch (error) {
    if (error instanceof KubernetesError) return error.status;
    throw error;
  }
}

function pods(namespace: string): string {
  return resourcePath({ group: '', version: 'v1', resource: 'pods', namespace });
}

function instances(namespace: string, name: string, subresource?: string): string {
  return resourcePath({ group: 'shard.io', version: 'v1', resource: 'shardinstances', namespace, name, subresource });
}

interface GroupList {
  readonly groups: readonly { readonly name: string; readonly preferredVersion: { readonly version: string } }[];
}

function versionOf(list: GroupList, group: string): string {
  return list.groups.find(({ name }) => name === group)?.preferredVersion.version ?? 'v1';
}
