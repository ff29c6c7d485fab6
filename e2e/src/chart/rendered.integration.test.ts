import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { resolveBinary } from '../cluster/binaries.ts';
import { podTemplateOf } from './pods.ts';
import { type Manifest, render, type RenderOptions, type Values } from './render.ts';

const run = promisify(execFile);
const NAMESPACE = 'monitoring';

const rendered = (values: Values = {}, over: Partial<RenderOptions> = {}): Promise<readonly Manifest[]> =>
  render({ namespace: NAMESPACE, values, ...over });

function one(manifests: readonly Manifest[], kind: string, name: string): Manifest {
  const [found, ...more] = manifests.filter((object) => object.kind === kind && object.metadata?.name === name);
  if (found === undefined || more.length > 0)
    throw new Error(`${more.length === 0 ? 'no' : 'more than one'} ${kind} ${name}`);
  return found;
}

const named = (manifests: readonly Manifest[]): readonly string[] =>
  manifests.map(({ kind, metadata }) => `${kind} ${metadata?.namespace ?? '-'}/${metadata?.name}`);

const rules = z.looseObject({
  rules: z.array(
    z.looseObject({ apiGroups: z.array(z.string()), resources: z.array(z.string()), verbs: z.array(z.string()) }),
  ),
});

/** `group/resource verb`, for each right. */
const rightsOf = (role: Manifest): readonly string[] =>
  rules
    .parse(role)
    .rules.flatMap(({ apiGroups, resources, verbs }) =>
      apiGroups.flatMap((group) =>
        resources.flatMap((resource) => verbs.map((verb) => `${group}/${resource} ${verb}`)),
      ),
    )
    .toSorted();

const configuration = z.looseObject({ data: z.looseObject({ 'shard-config.json': z.string() }) });
const shardConfig = z.looseObject({
  spec: z.looseObject({
    podLabels: z.record(z.string(), z.string()).optional(),
    exporter: z.looseObject({
      image: z.string(),
      resources: z.array(z.string()),
      extraArgs: z.array(z.string()).optional(),
    }),
  }),
});

const defaultFleet = (manifests: readonly Manifest[]): z.infer<typeof shardConfig> => {
  const { data } = configuration.parse(one(manifests, 'ConfigMap', 'shard-controller-apply'));
  return shardConfig.parse(JSON.parse(data['shard-config.json']));
};

const environmentOf = (manifest: Manifest): Readonly<Record<string, string | undefined>> => {
  const [container] = podTemplateOf(manifest)?.spec.containers ?? [];
  return Object.fromEntries((container?.env ?? []).map(({ name, value }) => [name, value]));
};

describe('rights', () => {
  test('of the workers follow the collectors', async () => {
    const manifests = await rendered({ collectors: ['pods', 'deployments'] });
    expect(rightsOf(one(manifests, 'ClusterRole', 'monitoring:shard-controller'))).toEqual(
      ['/pods', 'apps/deployments'].flatMap((kind) => ['get', 'list', 'watch'].map((verb) => `${kind} ${verb}`)),
    );
    expect(defaultFleet(manifests).spec.exporter.resources).toEqual(['pods', 'deployments']);
  });

  test('are by default on what kube-state-metrics exports by default', async () => {
    const { stdout } = await run(resolveBinary('kube-state-metrics'), ['--help']);
    const [, kinds = ''] = /--resources string .*Defaults to "([^"]+)"/.exec(stdout) ?? [];
    expect(defaultFleet(await rendered()).spec.exporter.resources).toEqual(kinds.split(','));
  });

  test('of the managers are in their namespace, and see no Secret', async () => {
    const manifests = await rendered();
    const rights = rightsOf(one(manifests, 'Role', 'shard-controller-manager'));
    expect(rights.filter((right) => right.startsWith('/secrets'))).toEqual([]);
    expect(rights).toContain('shard.io/shardconfigs/finalizers update');
    const bindings = manifests.filter(({ kind }) => kind === 'ClusterRoleBinding');
    expect(JSON.stringify(bindings)).not.toContain('shard-controller-manager');
  });

  test('are nowhere cluster-wide in a namespaced installation', async () => {
    const manifests = await rendered({ rbac: { namespaced: true }, namespaces: 'a,b', collectors: ['pods', 'jobs'] });
    const ofCluster = manifests.filter(({ metadata }) => metadata?.namespace === undefined);
    expect(ofCluster.map(({ kind }) => kind)).toEqual(Array(3).fill('CustomResourceDefinition'));
    expect(named(manifests)).toEqual(
      expect.arrayContaining(['Role a/monitoring:shard-controller', 'RoleBinding b/monitoring:shard-controller']),
    );
    expect(defaultFleet(manifests).spec.exporter.extraArgs).toEqual(['--namespaces=a,b']);
  });

  test('of such a one are in its own namespace when none is named', async () => {
    const manifests = await rendered({ rbac: { namespaced: true }, collectors: ['pods'] });
    expect(named(manifests)).toContain('Role monitoring/monitoring:shard-controller');
    expect(defaultFleet(manifests).spec.exporter.extraArgs).toEqual(['--namespaces=monitoring']);
  });

  test('are not the chart’s matter with rbac.create=false', async () => {
    const manifests = await rendered({ rbac: { create: false } });
    expect(manifests.filter(({ kind }) => kind?.includes('Role'))).toEqual([]);
  });

  test('of two releases in two namespaces are two', async () => {
    const both = [...(await rendered()), ...(await rendered({}, { namespace: 'other' }))];
    const ofCluster = both.filter(({ kind }) => kind?.startsWith('ClusterRole'));
    expect(new Set(named(ofCluster)).size).toBe(ofCluster.length);
  });
});

describe('pods', () => {
  test('hold no password, no token by default, and no port of the node', async () => {
    for (const manifest of await rendered()) {
      const template = podTemplateOf(manifest);
      if (template === undefined) continue;
      expect(template.spec).toMatchObject({ automountServiceAccountToken: false, enableServiceLinks: false });
      expect(JSON.stringify(template)).not.toMatch(/hostPort|hostNetwork|hostPath|PASSWORD|NATS_TOKEN/);
    }
  });

  test('run on Linux, besides what the user wants', async () => {
    const manifests = await rendered({ manager: { nodeSelector: { pool: 'a' } } });
    const manager = podTemplateOf(one(manifests, 'Deployment', 'shard-controller-manager'));
    expect(manager?.spec.nodeSelector).toEqual({ 'kubernetes.io/os': 'linux', pool: 'a' });
  });

  test('have no fixed user where the platform is OpenShift, said or found', async () => {
    const fixed = async (values: Values, apiVersions: readonly string[] = []): Promise<string> => {
      const manifests = await rendered(values, { apiVersions });
      const users = manifests.flatMap((manifest) => podTemplateOf(manifest)?.spec.securityContext?.runAsUser ?? []);
      const { WORKER_FIXED_USER } = environmentOf(one(manifests, 'Deployment', 'shard-controller-manager'));
      return `${[...new Set(users)].map(String).join()} ${WORKER_FIXED_USER}`;
    };
    expect(await fixed({})).toBe('65532 true');
    expect(await fixed({ platform: 'openshift' })).toBe(' false');
    expect(await fixed({}, ['security.openshift.io/v1'])).toBe(' false');
    expect(await fixed({ platform: 'kubernetes' }, ['security.openshift.io/v1'])).toBe('65532 true');
  });

  test('are pulled from one registry, by digest where there is one, with all secrets', async () => {
    const digest = `sha256:${'a'.repeat(64)}`;
    const manifests = await rendered({
      global: { imageRegistry: 'registry.example.com', imagePullSecrets: [{ name: 'one' }] },
      imagePullSecrets: [{ name: 'two' }],
      manager: { image: { digest } },
    });
    const templates = manifests.flatMap((manifest) => podTemplateOf(manifest) ?? []);
    const images = templates.flatMap(({ spec }) => spec.containers.map(({ image }) => image));
    expect(new Set(images)).toEqual(
      new Set([
        `registry.example.com/shard-controller/manager:0.1.0@${digest}`,
        'registry.example.com/library/nats:2.15.2',
      ]),
    );
    for (const { spec } of templates) expect(spec.imagePullSecrets).toEqual([{ name: 'one' }, { name: 'two' }]);
    const { WORKER_IMAGE } = environmentOf(one(manifests, 'Deployment', 'shard-controller-manager'));
    expect(WORKER_IMAGE).toBe('registry.example.com/shard-controller/worker:0.1.0');
    expect(defaultFleet(manifests).spec.exporter.image).toMatch(/^registry\.example\.com\/kube-state-metrics\//);
  });

  test('and all objects have the labels that a company demands', async () => {
    const manifests = await rendered({
      commonLabels: { team: 'a', 'app.kubernetes.io/owner': 'a' },
      serviceMonitor: { enabled: true },
      shardConfig: { spec: { podLabels: { tier: 'one' } } },
    });
    // Labels of that group are the controller's on its pods.
    expect(defaultFleet(manifests).spec.podLabels).toEqual({ team: 'a', tier: 'one' });
    const templates = manifests.flatMap((manifest) => podTemplateOf(manifest) ?? []);
    for (const { metadata } of [...manifests, ...templates]) expect(metadata?.labels).toMatchObject({ team: 'a' });
  });

  test('restart when the configuration of NATS changes, not when labels do', async () => {
    const checksum = async (values: Values): Promise<string | undefined> => {
      const manifests = await rendered(values);
      return podTemplateOf(one(manifests, 'StatefulSet', 'shard-controller-nats'))?.metadata.annotations?.[
        'checksum/configuration'
      ];
    };
    const before = await checksum({});
    expect(await checksum({ commonAnnotations: { a: 'b' } })).toBe(before);
    expect(await checksum({ nats: { persistence: { size: '4Gi' } } })).not.toBe(before);
  });
});

describe('NATS', () => {
  const conf = z.looseObject({ data: z.looseObject({ 'nats.conf': z.string() }) });

  test('writes to disk before it answers, on three servers or one', async () => {
    const three = await rendered();
    const { data } = conf.parse(one(three, 'ConfigMap', 'shard-controller-nats'));
    expect(data['nats.conf']).toMatch(/sync_interval: always[\s\S]*max_file_store: 1536MiB[\s\S]*nats-2\./);
    expect(named(three)).toContain('PodDisruptionBudget monitoring/shard-controller-nats');
    const single = await rendered({ nats: { replicas: 1 } });
    expect(conf.parse(one(single, 'ConfigMap', 'shard-controller-nats')).data['nats.conf']).not.toContain('cluster');
    expect(named(single)).not.toContain('PodDisruptionBudget monitoring/shard-controller-nats');
    expect(environmentOf(one(single, 'Deployment', 'shard-controller-manager'))['NATS_REPLICAS']).toBe('1');
  });

  test.each([1, 3])('takes its configuration for %i servers that are open to all', async (replicas) => {
    const manifests = await rendered({ nats: { replicas, auth: { enabled: false }, tls: { enabled: false } } });
    const { data } = conf.parse(one(manifests, 'ConfigMap', 'shard-controller-nats'));
    const folder = mkdtempSync(join(tmpdir(), 'shard-nats-conf-'));
    try {
      const file = join(folder, 'nats.conf');
      writeFileSync(file, data['nats.conf']);
      const checked = run(resolveBinary('nats-server'), ['--config', file, '-t'], { env: { POD_NAME: 'nats-0' } });
      await expect(checked).resolves.toMatchObject({ stderr: expect.stringContaining('is valid') });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test('is somebody else’s where a URL is given', async () => {
    const manifests = await rendered({ nats: { enabled: false }, externalNats: { url: 'nats://x:4222', replicas: 3 } });
    expect(named(manifests).filter((name) => name.includes('nats'))).toEqual([]);
    expect(environmentOf(one(manifests, 'Deployment', 'shard-controller-manager'))).toMatchObject({
      NATS_URL: 'nats://x:4222',
      NATS_REPLICAS: '3',
    });
  });
});

describe('KSMScale', () => {
  test('costs no right and no object while it is off', async () => {
    expect(named(await rendered()).filter((name) => name.includes('-ksmscale'))).toEqual([]);
  });

  test('alone needs no NATS, no workers and no right of theirs', async () => {
    const values = { manager: { shardConfigs: false }, ksmScale: { enabled: true } };
    const manifests = await rendered(values);
    const names = named(manifests);
    expect(names.filter((name) => /nats|worker|apply/.test(name))).toEqual([]);
    expect(rightsOf(one(manifests, 'Role', 'shard-controller-manager'))).toEqual([
      'coordination.k8s.io/leases create',
      'coordination.k8s.io/leases get',
      'coordination.k8s.io/leases update',
    ]);
    expect(environmentOf(one(manifests, 'Deployment', 'shard-controller-manager'))).toMatchObject({
      SHARDCONFIG_ENABLED: 'false',
      KSMSCALE_ENABLED: 'true',
      KSMSCALE_NAMESPACES: NAMESPACE,
    });
    expect(names).toContain(`ServiceAccount ${NAMESPACE}/kube-state-metrics`);
  });

  test('keeps pods in the namespaces that are named, or in all', async () => {
    const some = await rendered({ ksmScale: { enabled: true, namespaces: ['team-a', 'team-b'] } });
    const name = `${NAMESPACE}:shard-controller-ksmscale`;
    expect(named(some).filter((one) => one.startsWith('Role ') && one.endsWith(name))).toEqual([
      `Role team-a/${name}`,
      `Role team-b/${name}`,
    ]);
    expect(rightsOf(one(some, 'ClusterRole', name)).filter((right) => right.includes('pods'))).toEqual([]);
    const all = await rendered({ ksmScale: { enabled: true, namespaces: ['*'] } });
    expect(rightsOf(one(all, 'ClusterRole', name))).toContain('/pods create');
    expect(named(all).filter((one) => one.startsWith('Role ') && one.endsWith(name))).toEqual([]);
  });
});

describe('monitors', () => {
  test('are there when switched on, select by the labels of the Services, and call the job as stock alerts do', async () => {
    expect((await rendered()).filter(({ kind }) => kind?.endsWith('Monitor'))).toEqual([]);
    const labels = { release: 'kube-prometheus-stack' };
    const manifests = await rendered({
      serviceMonitor: { enabled: true, labels },
      selfMonitor: { enabled: true, labels },
    });
    const monitors = manifests.filter(({ kind }) => kind?.endsWith('Monitor'));
    expect(named(monitors)).toEqual([
      'PodMonitor monitoring/shard-controller-manager',
      'PodMonitor monitoring/shard-controller-worker',
      'ServiceMonitor monitoring/shard-controller',
    ]);
    for (const { metadata } of monitors) expect(metadata?.labels).toMatchObject(labels);
    expect(one(manifests, 'ServiceMonitor', 'shard-controller')).toMatchObject({
      spec: {
        selector: {
          matchLabels: {
            'app.kubernetes.io/name': 'shard-controller-worker',
            'app.kubernetes.io/managed-by': 'shard-controller',
          },
        },
        endpoints: [
          {
            port: 'http-metrics',
            honorLabels: true,
            relabelings: [{ targetLabel: 'job', replacement: 'kube-state-metrics' }, {}],
          },
        ],
      },
    });
  });
});

describe('the test of a release', () => {
  const hasTest = async (values: Values): Promise<boolean> =>
    named(await rendered(values)).includes('Pod monitoring/shard-controller-test');

  test('looks for its own pod, so it is there where that is exported', async () => {
    expect(await hasTest({})).toBe(true);
    expect(await hasTest({ collectors: ['nodes'] })).toBe(false);
    expect(await hasTest({ namespaces: ['team-a'] })).toBe(false);
    expect(await hasTest({ shardConfig: { create: false } })).toBe(false);
  });
});

test('nothing is removed by what `helm template` prints', async () => {
  const hooks = (await rendered()).map(({ metadata }) => metadata?.annotations?.['helm.sh/hook'] ?? '');
  expect(hooks.filter((hook) => hook.includes('delete'))).toEqual([]);
});
