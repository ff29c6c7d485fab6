import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { resourcePath } from '@shard-controller/shared/kubernetes';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { ChartCluster } from './chart-cluster.ts';
import { CHART, helm, HelmError, render, type Values } from './render.ts';

const run = promisify(execFile);
const APPLY = join(CHART, 'files', 'apply-shard-config.mjs');

let cluster: ChartCluster;
let namespace = '';
let count = 0;

beforeAll(async () => {
  cluster = await ChartCluster.start();
});

afterAll(async () => {
  await cluster.stop();
});

beforeEach(async () => {
  count += 1;
  namespace = `install-${count}`;
  await cluster.restrictedNamespace(namespace);
});

const values = (content: Values): string => cluster.file(`values-${namespace}.yaml`, JSON.stringify(content));

/** Helm in this test's namespace. Hooks are left out: without controllers their Job would never end. */
const inNamespace = (binary: 'helm' | 'helm-3', args: readonly string[]): Promise<string> =>
  helm([...args, '--no-hooks', '--namespace', namespace, '--kubeconfig', cluster.kubeconfig()], { binary });

const has = (group: string, resource: string, name: string): Promise<boolean> =>
  cluster.exists(group, 'v1', resource, namespace, name);

const hasDefinition = (): Promise<boolean> =>
  cluster.exists('apiextensions.k8s.io', 'v1', 'customresourcedefinitions', undefined, 'shardconfigs.shard.io');

const hasClusterRole = (): Promise<boolean> =>
  cluster.exists('rbac.authorization.k8s.io', 'v1', 'clusterroles', undefined, `${namespace}:shard-controller`);

const deployment = z.looseObject({ spec: z.looseObject({ replicas: z.int() }) });

async function replicas(): Promise<number> {
  const address = {
    group: 'apps',
    version: 'v1',
    resource: 'deployments',
    namespace,
    name: 'shard-controller-manager',
  };
  return deployment.parse(await cluster.client.get(resourcePath(address))).spec.replicas;
}

describe.each(['helm', 'helm-3'] as const)('a release of %s', (binary) => {
  test('is installed, upgraded, rolled back and removed; the definitions stay where keep is set', async () => {
    const keep = values({ crds: { keep: true } });
    await inNamespace(binary, ['install', 'shard-controller', CHART, '--values', keep, '--take-ownership']);
    expect(await replicas()).toBe(2);
    expect([await hasDefinition(), await hasClusterRole()]).toEqual([true, true]);
    await inNamespace(binary, ['upgrade', 'shard-controller', CHART, '--values', keep, '--set', 'manager.replicas=3']);
    expect(await replicas()).toBe(3);
    await inNamespace(binary, ['rollback', 'shard-controller', '1']);
    expect(await replicas()).toBe(2);
    await inNamespace(binary, ['uninstall', 'shard-controller']);
    expect(await has('apps', 'deployments', 'shard-controller-manager')).toBe(false);
    expect([await hasDefinition(), await hasClusterRole()]).toEqual([true, false]);
    await inNamespace(binary, ['install', 'shard-controller', CHART, '--values', keep, '--take-ownership']);
    await inNamespace(binary, ['upgrade', 'shard-controller', CHART, '--set', 'crds.keep=false']);
    await inNamespace(binary, ['uninstall', 'shard-controller']);
    await expect.poll(hasDefinition).toBe(false);
  });

  test('leaves what the workers run by, where keep is set', async () => {
    await inNamespace(binary, [
      'install',
      'shard-controller',
      CHART,
      '--set',
      'shardConfig.keep=true',
      '--take-ownership',
    ]);
    await inNamespace(binary, ['uninstall', 'shard-controller']);
    expect(await has('', 'serviceaccounts', 'shard-controller-worker')).toBe(true);
    expect(await has('', 'serviceaccounts', 'shard-controller-manager')).toBe(false);
    expect(await hasClusterRole()).toBe(true);
  });

  test('is refused beside another one in the namespace, with the remedy', async () => {
    await inNamespace(binary, ['install', 'first', CHART, '--take-ownership']);
    const second = inNamespace(binary, ['install', 'second', CHART, '--set', 'crds.enabled=false']);
    await expect(second).rejects.toThrow(HelmError);
    await expect(second).rejects.toThrow(
      /release first in namespace .* has managers already.*Remedy: install into another/s,
    );
  });
});

describe('the Job that applies the default ShardConfig, with its own rights', () => {
  const configuration = z.looseObject({ data: z.looseObject({ 'shard-config.json': z.string() }) });
  const seen = z.looseObject({
    metadata: z.looseObject({
      labels: z.record(z.string(), z.string()),
      ownerReferences: z.array(z.looseObject({ kind: z.string(), name: z.string() })).optional(),
    }),
    spec: z.looseObject({ maxShards: z.int(), shards: z.int().optional() }),
  });

  const path = (name?: string): string =>
    resourcePath({ group: 'shard.io', version: 'v1', resource: 'shardconfigs', namespace, name });

  /** Makes everything but the Job, and runs its script as its account would. */
  async function apply(content: Values = {}, owner = 'shard-controller-worker'): Promise<string> {
    const manifests = await render({ namespace, values: content });
    await cluster.define(manifests.filter(({ kind }) => kind === 'CustomResourceDefinition'));
    for (const manifest of manifests)
      if (manifest.kind !== 'Job' && manifest.kind !== 'Pod') await cluster.apply(manifest);
    const [object] = manifests.flatMap((manifest) => configuration.safeParse(manifest).data ?? []);
    const group = `system:serviceaccounts:${namespace}`;
    const token = cluster.server.tokenFor(`system:serviceaccount:${namespace}:shard-controller-apply`, [group]);
    const { hostname, port } = new URL(cluster.server.server);
    const { stdout } = await run(
      process.execPath,
      [APPLY, cluster.file('shard-config.json', object?.data['shard-config.json'] ?? '')],
      {
        env: {
          KUBERNETES_SERVICE_HOST: hostname,
          KUBERNETES_SERVICE_PORT: port,
          NODE_EXTRA_CA_CERTS: cluster.file('ca.crt', cluster.server.ca),
          TOKEN_FILE: cluster.file('token', token),
          OWNER: owner,
        },
      },
    );
    return stdout;
  }

  test('makes it, changes it, and takes nothing that an autoscaler has set', async () => {
    expect(await apply({ shardConfig: { spec: { maxShards: 5 } } })).toContain('cluster-metrics is applied');
    await cluster.client.patch(
      path('cluster-metrics'),
      { spec: { shards: 3 } },
      { query: { fieldManager: 'autoscaler' } },
    );
    await apply({ shardConfig: { spec: { maxShards: 7 } } });
    const { metadata, spec } = seen.parse(await cluster.client.get(path('cluster-metrics')));
    expect(spec).toMatchObject({ maxShards: 7, shards: 3 });
    expect(metadata.ownerReferences).toMatchObject([{ kind: 'ServiceAccount', name: 'shard-controller-worker' }]);
    await expect(apply({ shardConfig: { spec: { shards: 4 } } })).rejects.toThrow(
      /"autoscaler".*Remedy: leave fields/s,
    );
  });

  test('leaves one that somebody else has made, and says so', async () => {
    await apply({ shardConfig: { name: 'mine' } });
    const object = { apiVersion: 'shard.io/v1', kind: 'ShardConfig', metadata: { name: 'cluster-metrics' }, spec: {} };
    await cluster.client.create(path(), object);
    await expect(apply()).rejects.toThrow(
      /cluster-metrics exists and is not of this release.*Remedy: set shardConfig\.name/s,
    );
  });

  test('says what the API server refuses', async () => {
    const crossed = { scaleUpThreshold: 0.2, scaleDownThreshold: 0.5 };
    await expect(apply({ shardConfig: { spec: crossed } })).rejects.toThrow(
      /is refused: .*scaleDownThreshold must be below/s,
    );
  });
});
