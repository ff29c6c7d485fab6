import { existsSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Cluster, startCluster } from '../cluster.ts';
import { httpPod, isReady, PODS, PodWatcher, restarts, testImages } from '../testing/pods.ts';
import { networkFile } from './pod-network.ts';
import type { Pod } from './pod.ts';
import { run } from './command.ts';
import type { ProcessNode } from './process-node.ts';

let cluster: Cluster;
let pods: PodWatcher;
let first: ProcessNode;
let second: ProcessNode;

beforeAll(async () => {
  // 10 s is the shortest that the heartbeat of a node allows with room to spare.
  cluster = await startCluster({ fakeNodes: false, nodeMonitorGraceSeconds: 14 });
  [first, second] = await Promise.all([
    cluster.addNode('process-node-1', { images: testImages }),
    cluster.addNode('process-node-2', { images: testImages }),
  ]);
  pods = new PodWatcher(cluster);
});

afterAll(async () => {
  await cluster.stop();
});

describe('faults', () => {
  it('kill one container, which is restarted', async () => {
    await start('killed-container', first);
    first.killContainer('killed-container', 'http');
    const [pod] = await pods.until('killed-container', ([found]) => restarts(found) === 1 && ready(found));
    expect(pod?.status?.containerStatuses?.[0]?.lastState).toMatchObject({ terminated: { exitCode: 137, signal: 9 } });
  });

  it('kill a pod at once without a restart, silently or with a report', async () => {
    await start('killed-silently', first);
    await start('killed-openly', first);
    const pids = first.processesOf('killed-silently');
    expect(pids.length).toBeGreaterThan(0);
    await first.killPod('killed-silently');
    await first.killPod('killed-openly', { report: true });
    expect(first.processesOf('killed-silently')).toEqual([]);
    await pods.until('killed-openly', ([found]) => found !== undefined && !isReady(found));
    const silent = await pods.one('killed-silently');
    expect(ready(silent)).toBe(true);
    expect(restarts(silent)).toBe(0);

    // The node itself lives, so it answers a deletion.
    await cluster.admin.delete(`${PODS}/killed-silently`);
    await pods.until('killed-silently', (all) => all.length === 0);
  });

  it('freeze a pod, whose connections are accepted and not answered, and thaw it', async () => {
    const pod = await start('frozen', first);
    await first.freezePod('frozen');
    await expect(fetch(`http://${pod.status?.podIP}:8080/pid`, { signal: AbortSignal.timeout(500) })).rejects.toThrow(
      'timeout',
    );
    await pods.until('frozen', ([found]) => found !== undefined && !isReady(found));
    first.thawPod('frozen');
    const [after] = await pods.ready('frozen', 'frozen');
    expect(restarts(after)).toBe(0);
  });

  it('cut a pod off from the API server only, from NATS only, from everything, and heal each', async () => {
    const pod = await start('cut', first);
    const all = { api: true, nats: true, harness: true };
    expect(await reach(pod)).toEqual(all);
    await first.cutPod('cut', 'api-server');
    expect(await reach(pod)).toEqual({ ...all, api: false });
    await first.healPod('cut', 'api-server');
    expect(await reach(pod)).toEqual(all);
    await first.cutPod('cut', 'nats');
    expect(await reach(pod)).toEqual({ ...all, nats: false });
    await first.healPod('cut', 'nats');
    await first.cutPod('cut', 'everything');
    expect(await reach(pod)).toEqual({ api: false, nats: false, harness: false });
    await first.healPod('cut', 'everything');
    await expect.poll(() => reach(pod)).toEqual(all);
  });

  it('lose a node, which the cluster finds out by itself, and bring it back', async () => {
    const pod = await start('lost', second);
    await start('lost-and-deleted', second);
    const [pid] = second.processesOf('lost');
    await second.lose();
    await cluster.admin.delete(`${PODS}/lost-and-deleted`);
    expect(existsSync(`/proc/${pid}`)).toBe(false);
    expect(second.lost).toBe(true);
    // Nobody said anything: for the cluster the pod is still fine.
    expect(ready(await pods.one('lost'))).toBe(true);
    await pods.until('lost', ([found]) => found !== undefined && !isReady(found));

    expect(await pods.one('lost-and-deleted')).toBeDefined();

    await second.recover();
    await pods.until('lost-and-deleted', (all) => all.length === 0);
    const [back] = await pods.until('lost', ([found]) => found !== undefined && isReady(found));
    expect(back?.metadata.uid).toBe(pod.metadata.uid);
    expect(back?.status?.podIP).not.toBe(pod.status?.podIP);
    expect(restarts(back)).toBe(1);
    await expect.poll(() => isTainted('process-node-2')).toBe(false);
  });

  it('name the pods that a node runs when the wanted one is not there', async () => {
    await expect(first.killPod('nobody')).rejects.toThrow(/runs no pod nobody; it runs: default\//);
  });
});

async function start(name: string, node: ProcessNode): Promise<Pod> {
  await cluster.admin.create(PODS, httpPod(name, {}, { nodeName: node.name }));
  const [pod] = await pods.ready(name, name);
  if (pod === undefined) throw new Error(`no pod ${name}`);
  return pod;
}

function ready(pod: Pod | undefined): boolean {
  return pod !== undefined && isReady(pod);
}

/** What the pod itself can connect to, and whether the harness can connect to the pod. */
async function reach(pod: Pod): Promise<{ api: boolean; nats: boolean; harness: boolean }> {
  const [, , high, low] = pod.status?.podIP?.split('.') ?? [];
  const dial = (host: string, port: number): Promise<boolean> =>
    succeeds(
      run([
        'nsenter',
        `--net=${networkFile(`p${high}-${low}`)}`,
        process.execPath,
        '-e',
        `const s=require('net').connect(${port},'${host}');s.on('connect',()=>process.exit(0));s.on('error',()=>process.exit(1));setTimeout(()=>process.exit(1),700)`,
      ]),
    );
  const [api, nats, harness] = await Promise.all([
    dial('10.88.0.2', 6443),
    dial('10.88.0.3', 4222),
    succeeds(fetch(`http://${pod.status?.podIP}:8080/pid`, { signal: AbortSignal.timeout(700) })),
  ]);
  return { api, nats, harness };
}

async function succeeds(work: Promise<unknown>): Promise<boolean> {
  try {
    await work;
    return true;
  } catch {
    return false;
  }
}

async function isTainted(name: string): Promise<boolean> {
  const node = await cluster.admin.get<{ spec: { taints?: readonly unknown[] } }>(`/api/v1/nodes/${name}`);
  return (node.spec.taints ?? []).length > 0;
}
