import { existsSync, mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { elapse } from '@shard-controller/shared/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { sharedFolder } from '../../namespace/index.ts';
import { type Cluster, startCluster } from '../cluster.ts';
import {
  httpPod,
  httpStatefulSet,
  isReady,
  NAMESPACE,
  nameOf,
  PODS,
  PodWatcher,
  restarts,
  STATEFUL_SETS,
  testImages,
} from '../testing/pods.ts';
import { podNetworkNames } from './pod-network.ts';
import type { ProcessNode } from './process-node.ts';

let cluster: Cluster;
let node: ProcessNode;
let pods: PodWatcher;

beforeAll(async () => {
  cluster = await startCluster({ fakeNodes: false });
  node = await cluster.addNode('process-node-1', {
    images: testImages,
    labels: { 'topology.kubernetes.io/zone': 'a' },
  });
  pods = new PodWatcher(cluster);
});

afterAll(async () => {
  await cluster.stop();
});

describe('a StatefulSet on a process node', () => {
  it('scales 2 -> 4 -> 3 and replaces a deleted pod under its name with a new address', async () => {
    await cluster.admin.create(STATEFUL_SETS, httpStatefulSet('scaled', 2));
    await pods.ready('scaled', 'scaled-0', 'scaled-1');
    await scale('scaled', 4);
    await pods.ready('scaled', 'scaled-0', 'scaled-1', 'scaled-2', 'scaled-3');
    await scale('scaled', 3);
    const before = await pods.ready('scaled', 'scaled-0', 'scaled-1', 'scaled-2');

    await cluster.admin.delete(`${PODS}/scaled-1`);
    const old = before.find((pod) => nameOf(pod) === 'scaled-1');
    const after = await pods.until('scaled', (all) => {
      const replaced = all.find((pod) => nameOf(pod) === 'scaled-1');
      return replaced !== undefined && replaced.metadata.uid !== old?.metadata.uid && isReady(replaced);
    });
    const ips = after.map((pod) => pod.status?.podIP);
    expect(new Set([...ips, old?.status?.podIP]).size).toBe(4);

    await scale('scaled', 0);
    await pods.until('scaled', (all) => all.length === 0);
    expect(node.pods.filter((pod) => nameOf(pod).startsWith('scaled'))).toEqual([]);
  });

  it('leaves no network and no folder of a pod that is gone', async () => {
    await cluster.admin.create(PODS, httpPod('short'));
    const [pod] = await pods.ready('short', 'short');
    await cluster.admin.delete(`${PODS}/short`);
    await pods.until('short', (all) => all.length === 0);
    const [, , high, low] = pod?.status?.podIP?.split('.') ?? [];
    expect(await podNetworkNames()).not.toContain(`p${high}-${low}`);
    expect(existsSync(join(cluster.dataFolder, 'nodes', 'process-node-1', pod?.metadata.uid ?? '', 'volumes'))).toBe(
      false,
    );
  });
});

describe('a container', () => {
  it('gets its environment as the kubelet makes it, and nothing of the harness', async () => {
    const from = (fieldPath: string): object => ({ valueFrom: { fieldRef: { fieldPath } } });
    const env = [
      { name: 'POD_IP', ...from('status.podIP') },
      { name: 'LABEL', ...from("metadata.labels['app']") },
      { name: 'NOTE', ...from("metadata.annotations['note']") },
      { name: 'NODE', ...from('spec.nodeName') },
      { name: 'URL', value: 'http://$(POD_IP):8080/$(UNKNOWN)/$$(POD_IP)' },
    ];
    await cluster.admin.create(PODS, httpPod('env', { env }));
    const [pod] = await pods.ready('env', 'env');
    const seen: unknown = pod === undefined ? undefined : JSON.parse(await pods.get(pod, '/env'));
    const ip = pod?.status?.podIP;
    expect(seen).toMatchObject({
      POD_IP: ip,
      LABEL: 'env',
      NOTE: 'seen',
      NODE: 'process-node-1',
      URL: `http://${ip}:8080/$(UNKNOWN)/$(POD_IP)`,
      HOSTNAME: 'env',
      KUBERNETES_SERVICE_HOST: '10.88.0.2',
      KUBERNETES_SERVICE_PORT: '6443',
    });
    expect(Object.keys(Object(seen))).not.toContain('SHARD_CONTROLLER_NS_DIR');
  });

  it('sees a ServiceAccount token only where it mounts one, and the token is renewed and bound to the pod', async () => {
    const volumes = [
      {
        name: 'access',
        projected: {
          sources: [
            { serviceAccountToken: { path: 'token', expirationSeconds: 600 } },
            { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
          ],
        },
      },
    ];
    const volumeMounts = [
      { name: 'access', mountPath: '/var/run/secrets/kubernetes.io/serviceaccount', readOnly: true },
    ];
    const spec = { automountServiceAccountToken: false, volumes };
    await cluster.admin.create(PODS, httpPod('token', { volumeMounts }, spec));
    await cluster.admin.create(PODS, httpPod('tokenless', {}, spec));
    const [pod] = await pods.ready('token', 'token');
    const [other] = await pods.ready('tokenless', 'tokenless');
    if (pod === undefined || other === undefined) throw new Error('unreachable');

    const first = await pods.get(pod, '/token');
    expect(claims(first)).toMatchObject({ 'kubernetes.io': { pod: { name: 'token', uid: pod.metadata.uid } } });
    expect(await pods.get(pod, '/?file=/var/run/secrets/kubernetes.io/serviceaccount/ca.crt')).toBe(cluster.caPem);
    expect(await pods.get(other, '/token')).toBe('no');
    await expect(cluster.clientFor(first).get('/api/v1/namespaces/default')).rejects.toMatchObject({ status: 403 });

    // A second later, or it would be the same token.
    await elapse(1100);
    await node.renewTokens('token');
    const second = await pods.get(pod, '/token');
    expect(second).not.toBe(first);
    await expect(cluster.clientFor(second).get('/api/v1/namespaces/default')).rejects.toMatchObject({ status: 403 });
  });

  it('renews tokens by its own clock', async () => {
    const quick = await cluster.addNode('process-node-2', { images: testImages, tokenRenewalMs: 1100 });
    const volumes = [
      { name: 'access', projected: { sources: [{ serviceAccountToken: { path: 'token', expirationSeconds: 3607 } }] } },
    ];
    const volumeMounts = [{ name: 'access', mountPath: '/var/run/secrets/kubernetes.io/serviceaccount' }];
    await cluster.admin.create(PODS, httpPod('renewed', { volumeMounts }, { nodeName: quick.name, volumes }));
    const [pod] = await pods.ready('renewed', 'renewed');
    if (pod === undefined) throw new Error('unreachable');
    const first = await pods.get(pod, '/token');
    await expect.poll(() => pods.get(pod, '/token')).not.toBe(first);
    await cluster.admin.delete(`${PODS}/renewed`, { gracePeriodSeconds: 0 });
  });

  it('sees ConfigMaps and empty folders at mount points that this machine does not have', async () => {
    await cluster.admin.create('/api/v1/namespaces/default/configmaps', {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'settings' },
      data: { 'a.yaml': 'a: 1\n' },
    });
    const volumes = [
      { name: 'settings', configMap: { name: 'settings' } },
      { name: 'scratch', emptyDir: {} },
    ];
    const volumeMounts = [
      { name: 'settings', mountPath: '/etc/made-for-this-test/settings', readOnly: true },
      { name: 'scratch', mountPath: '/etc/made-for-this-test/scratch' },
    ];
    const env = [{ name: 'NOTES', value: '/etc/made-for-this-test/scratch/notes' }];
    await cluster.admin.create(PODS, httpPod('mounts', { env, volumeMounts }, { volumes }));
    const [pod] = await pods.ready('mounts', 'mounts');
    if (pod === undefined) throw new Error('unreachable');
    expect(await pods.get(pod, '/?file=/etc/made-for-this-test/settings/a.yaml')).toBe('a: 1\n');
    expect(await pods.get(pod, '/?file=/etc/made-for-this-test/scratch/notes')).toContain('started');
    expect(existsSync('/etc/made-for-this-test')).toBe(false);
  });

  it('of an unknown image says which images there are', async () => {
    await cluster.admin.create(PODS, httpPod('unknown', { image: 'example.com/no-such:1' }));
    const [pod] = await pods.until(
      'unknown',
      ([found]) => waiting(found) !== undefined && waiting(found)?.reason !== 'ContainerCreating',
    );
    expect(waiting(pod)).toMatchObject({
      reason: 'ErrImagePull',
      message: expect.stringContaining('shard-controller-worker'),
    });
    await cluster.admin.delete(`${PODS}/unknown`, { gracePeriodSeconds: 0 });
  });

  it('is restarted with growing waits, its end and its restarts in the status', async () => {
    await cluster.admin.create(
      PODS,
      httpPod('crashing', { command: ['/bin/sh', '-c', 'exit 7'], readinessProbe: undefined }),
    );
    const [pod] = await pods.until(
      'crashing',
      ([found]) => (restarts(found) ?? 0) >= 2 && waiting(found) !== undefined,
    );
    expect(waiting(pod)).toMatchObject({ reason: 'CrashLoopBackOff' });
    expect(pod?.status?.containerStatuses?.[0]?.lastState).toMatchObject({
      terminated: { exitCode: 7, reason: 'Error' },
    });
    await cluster.admin.delete(`${PODS}/crashing`);
    await pods.until('crashing', (all) => all.length === 0);
  });
});

describe('probes', () => {
  it('take a pod out of service and back, without a restart', async () => {
    await cluster.admin.create(PODS, httpPod('readiness'));
    const [pod] = await pods.ready('readiness', 'readiness');
    if (pod === undefined) throw new Error('unreachable');
    await pods.get(pod, '/become/unready');
    await pods.until('readiness', ([found]) => found !== undefined && !isReady(found));
    await pods.get(pod, '/become/ready');
    const [again] = await pods.ready('readiness', 'readiness');
    expect(restarts(again)).toBe(0);
  });

  it('restart a container that is not alive, after its preStop and SIGTERM', async () => {
    const notes = notesFile();
    const container = {
      livenessProbe: { httpGet: { path: '/alive', port: 8080 }, periodSeconds: 1, failureThreshold: 2 },
      lifecycle: { preStop: { httpGet: { path: '/pre-stop', port: 'http' } } },
      ...notesIn(notes),
    };
    await cluster.admin.create(PODS, httpPod('liveness', container));
    const [pod] = await pods.ready('liveness', 'liveness');
    if (pod === undefined) throw new Error('unreachable');
    await pods.get(pod, '/become/dead');
    await pods.until('liveness', ([found]) => restarts(found) === 1 && found !== undefined && isReady(found));
    expect(lines(notes)).toEqual(['liveness started', 'liveness pre-stop', 'liveness SIGTERM', 'liveness started']);
  });

  it('wait for the startup probe', async () => {
    const container = {
      startupProbe: { exec: { command: ['test', '-e', '/run/started'] }, periodSeconds: 1, failureThreshold: 60 },
      livenessProbe: { httpGet: { path: '/nothing', port: 8080 }, periodSeconds: 1, failureThreshold: 1 },
    };
    await cluster.admin.create(PODS, httpPod('startup', container));
    await pods.until('startup', ([found]) => found?.status?.phase === 'Running');
    await elapse(2500);
    const pod = await pods.one('startup');
    expect(pod?.status?.containerStatuses?.[0]).toMatchObject({ started: false, ready: false, restartCount: 0 });
    await cluster.admin.delete(`${PODS}/startup`, { gracePeriodSeconds: 0 });
  });
});

describe('a postStart hook', () => {
  it('holds back the containers after its own', async () => {
    const notes = notesFile();
    const hook = `until [ -e ${notes} ]; do sleep 0.1; done; sleep 1; echo hook >>${notes}`;
    const first = { lifecycle: { postStart: { exec: { command: ['sh', '-c', hook] } } } };
    const template = httpPod('ordered', { ...notesIn(notes), ...first });
    await cluster.admin.create(PODS, withSecond(template, notes));
    await pods.until('ordered', ([found]) => restarts(found) === 0 && existsSync(notes) && lines(notes).length === 3);
    expect(lines(notes)).toEqual(['ordered started', 'hook', 'second']);
    await cluster.admin.delete(`${PODS}/ordered`, { gracePeriodSeconds: 0 });
  });

  it('ends its container when it fails, and only that one', async () => {
    const notes = notesFile();
    const first = { lifecycle: { postStart: { exec: { command: ['false'] } } } };
    await cluster.admin.create(PODS, withSecond(httpPod('hook-fails', first), notes));
    await pods.until('hook-fails', ([found]) => (restarts(found) ?? 0) >= 1 && existsSync(notes));
    expect(lines(notes)).toEqual(['second']);
    await cluster.admin.delete(`${PODS}/hook-fails`, { gracePeriodSeconds: 0 });
  });

  it('does not outlive a pod that is deleted meanwhile', async () => {
    const first = { lifecycle: { postStart: { exec: { command: ['sleep', '300'] } } } };
    await cluster.admin.create(PODS, httpPod('hook-hangs', first));
    await expect.poll(() => cluster.nodeOf(NAMESPACE, 'hook-hangs')?.processesOf('hook-hangs')).toHaveLength(2);
    await cluster.admin.delete(`${PODS}/hook-hangs`);
    await pods.until('hook-hangs', (all) => all.length === 0);
  });
});

describe('the end of a pod', () => {
  it('is preStop, then SIGTERM, then its own exit', async () => {
    const notes = notesFile();
    const container = { lifecycle: { preStop: { httpGet: { path: '/pre-stop', port: 'http' } } }, ...notesIn(notes) };
    await cluster.admin.create(PODS, httpPod('graceful', container));
    await pods.ready('graceful', 'graceful');
    await cluster.admin.delete(`${PODS}/graceful`);
    await pods.until('graceful', (all) => all.length === 0);
    expect(lines(notes)).toEqual(['graceful started', 'graceful pre-stop', 'graceful SIGTERM']);
  });

  it('is SIGKILL when the grace period is over', async () => {
    await cluster.admin.create(
      PODS,
      httpPod('stubborn', { env: [{ name: 'IGNORE_SIGTERM', value: '1' }] }, { terminationGracePeriodSeconds: 2 }),
    );
    await pods.ready('stubborn', 'stubborn');
    const began = performance.now();
    await cluster.admin.delete(`${PODS}/stubborn`);
    await pods.until('stubborn', (all) => all.length === 0);
    expect(performance.now() - began).toBeGreaterThan(1900);
  });

  it('is immediate when the object was removed by force', async () => {
    await cluster.admin.create(PODS, httpPod('forced', { env: [{ name: 'IGNORE_SIGTERM', value: '1' }] }));
    await pods.ready('forced', 'forced');
    const [pid] = cluster.nodeOf(NAMESPACE, 'forced')?.processesOf('forced') ?? [];
    expect(existsSync(`/proc/${pid}`)).toBe(true);
    await cluster.admin.delete(`${PODS}/forced`, { gracePeriodSeconds: 0 });
    await expect.poll(() => existsSync(`/proc/${pid}`)).toBe(false);
  });
});

describe('a log', () => {
  it('is a file per container', async () => {
    await cluster.admin.create(PODS, httpPod('logged'));
    await pods.ready('logged', 'logged');
    const folder = join(cluster.logFolder, 'pods');
    expect(readdirSync(folder)).toContain('default_logged_http.log');
    expect(readFileSync(join(folder, 'default_logged_http.log'), 'utf8')).toBe('started\n');
  });
});

async function scale(name: string, replicas: number): Promise<void> {
  await cluster.admin.patch(`${STATEFUL_SETS}/${name}`, { spec: { replicas } });
}

function waiting(
  pod: { status?: { containerStatuses?: { state?: object | undefined }[] | undefined } | undefined } | undefined,
): { reason?: unknown; message?: unknown } | undefined {
  const state = pod?.status?.containerStatuses?.[0]?.state;
  return state !== undefined && 'waiting' in state ? Object(state.waiting) : undefined;
}

function claims(token: string): unknown {
  return JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8'));
}

/** With a second container that writes one note and waits. */
function withSecond(pod: ReturnType<typeof httpPod>, notes: string): object {
  const { spec } = z.looseObject({ spec: z.looseObject({ containers: z.array(z.unknown()) }) }).parse(pod);
  const second = {
    name: 'second',
    image: 'http-pod:1',
    command: ['sh', '-c', `echo second >>${notes}; exec sleep 600`],
  };
  return { ...pod, spec: { ...spec, containers: [...spec.containers, second] } };
}

function notesFile(): string {
  return join(mkdtempSync(join(sharedFolder(), 'notes-')), 'notes');
}

function notesIn(file: string): object {
  return {
    env: [
      { name: 'NOTES', value: file },
      { name: 'POD_NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
    ],
  };
}

function lines(file: string): readonly string[] {
  return readFileSync(file, 'utf8').trimEnd().split('\n');
}
