import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { KubernetesError } from '@shard-controller/shared/kubernetes';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { ChartCluster } from './chart-cluster.ts';
import { CI_VALUES } from './ci-values.ts';
import { podsOf } from './pods.ts';
import { type Manifest, parseManifests, render } from './render.ts';

const NAMESPACE = 'monitoring';
const NAMESPACES = [NAMESPACE, 'team-a', 'team-b', 'observability'];
/** What the manager makes of a ShardConfig, as its own tests hold it. */
const STATEFUL_SETS = join(import.meta.dirname, '../../../packages/manager/src/effects/testdata');

let cluster: ChartCluster;

beforeAll(async () => {
  cluster = await ChartCluster.start();
  for (const name of NAMESPACES) await cluster.restrictedNamespace(name);
  for (const name of ['managers', 'workers', 'shard-controller-worker']) {
    await cluster.apply({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name, namespace: NAMESPACE } });
  }
  const manifests = await render({ namespace: NAMESPACE });
  await cluster.define(manifests.filter(({ kind }) => kind === 'CustomResourceDefinition'));
});

afterAll(async () => {
  await cluster.stop();
});

/** The Prometheus Operator's kinds are not served here. */
const isKnown = ({ apiVersion }: Manifest): boolean => !String(apiVersion).startsWith('monitoring.coreos.com/');

/** Pods need their accounts, so those are there in earnest. */
async function admitAll(manifests: readonly Manifest[]): Promise<void> {
  for (const manifest of manifests.filter(isKnown)) {
    await cluster.admit(manifest);
    if (manifest.kind === 'ServiceAccount') await cluster.apply(manifest);
  }
}

const configuration = z.looseObject({ data: z.looseObject({ 'shard-config.json': z.string() }) });

describe('the API server takes what the chart renders', () => {
  test.each([...CI_VALUES])('%s: every object as it is, every pod as restricted', async (_, file) => {
    const manifests = await render({ namespace: NAMESPACE, files: [file] });
    await admitAll(manifests);
    const pods = podsOf(manifests);
    expect(pods.length).toBeGreaterThan(0);
    for (const pod of pods) await cluster.admit(pod);
  });

  test.each([...CI_VALUES])('%s: the default ShardConfig', async (name, file) => {
    const manifests = await render({ namespace: NAMESPACE, files: [file] });
    const applied = manifests.flatMap((manifest) => {
      const parsed = configuration.safeParse(manifest);
      return parsed.success ? parseManifests(parsed.data.data['shard-config.json']) : [];
    });
    expect(applied.map(({ kind }) => kind)).toEqual(name === 'ksmscale' ? [] : ['ShardConfig']);
    for (const object of applied) await cluster.admit(object);
  });

  test.each(['default', 'full'])('the worker pods of a %s ShardConfig are restricted ones', async (name) => {
    const text = readFileSync(join(STATEFUL_SETS, `stateful-set-${name}.golden`), 'utf8');
    const pods = podsOf(parseManifests(text));
    expect(pods).toHaveLength(1);
    for (const pod of pods) await cluster.admit(pod);
  });
});

describe('the check itself', () => {
  const refusal = async (object: Manifest): Promise<string> => {
    const error: unknown = await cluster.admit(object).catch((thrown: unknown) => thrown);
    return error instanceof KubernetesError ? error.message : 'admitted';
  };

  test('refuses a pod that may become root, and a field that does not exist', async () => {
    const metadata = { name: 'any', namespace: NAMESPACE };
    const pod = { apiVersion: 'v1', kind: 'Pod', metadata, spec: { containers: [{ name: 'any', image: 'any' }] } };
    expect(await refusal(pod)).toContain('violates PodSecurity "restricted:latest"');
    const account = { apiVersion: 'v1', kind: 'ServiceAccount', metadata, automount: false };
    expect(await refusal(account)).toMatch(/unknown field|field not declared/);
  });
});
