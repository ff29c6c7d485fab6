import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { KubeConfig, makeInformer, CoreV1Api, type V1Pod } from '@kubernetes/client-node';
import type { KubernetesClient } from '@shard-controller/shared/kubernetes';
import { createLogger } from '@shard-controller/shared/observability';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { resolveBinary, resolveSystemTool } from '../cluster/binaries.ts';
import { startApiServer, type StandaloneApiServer } from '../cluster/standalone-api-server.ts';
import { clientOf, slots } from './exporter-rig.ts';
import { ALL_SLOTS, SLOTS, SlotListener } from './slot-listener.ts';

/** Real clients through `Full` listeners: together they see every object once, and each follows its slots. */

const WAIT = { interval: 30 } as const;
const PODS = '/api/v1/namespaces/default/pods';

let api: StandaloneApiServer;
let client: KubernetesClient;
let left: SlotListener;
let right: SlotListener;
const children: ChildProcessByStdio<Writable, Readable, Readable>[] = [];

const pod = (name: string): Record<string, unknown> => ({
  metadata: { name, labels: { app: 'clients' } },
  spec: { nodeName: 'n1', containers: [{ name: 'c', image: 'i' }], terminationGracePeriodSeconds: 0 },
});

/** name=uid of all pods, from the API server itself. */
async function truth(): Promise<string[]> {
  const { items } = await client.list<{ metadata: { name: string; uid: string } }>(PODS);
  return items.map(({ metadata }) => `default/${metadata.name}=${metadata.uid}`).toSorted();
}

async function change(round: string): Promise<void> {
  await Promise.all(Array.from({ length: 10 }, (_, i) => client.create(PODS, pod(`${round}-${i}`))));
  for (let i = 0; i < 5; i++) {
    await client.patch(`${PODS}/${round}-${i}`, { metadata: { labels: { round } } });
    await client.delete(`${PODS}/${round}-${i}`);
  }
  // The same name again is another object, and may be another shard's.
  await client.create(PODS, pod(`${round}-0`));
}

function launch(command: string, args: readonly string[]): ChildProcessByStdio<Writable, Readable, Readable> {
  const child = spawn(resolveSystemTool('setpriv', 'util-linux'), ['--pdeathsig', 'KILL', command, ...args], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'], HOME: api.folder, KUBECONFIG: '/dev/null' },
  });
  children.push(child);
  return child;
}

beforeAll(async () => {
  api = await startApiServer();
  client = clientOf(api, createLogger({ name: 'setup', level: 'warn' }), 'setup');
  await Promise.all(Array.from({ length: 40 }, (_, i) => client.create(PODS, pod(`first-${i}`))));
  left = await SlotListener.start(api, slots(0, 128));
  right = await SlotListener.start(api, slots(128, SLOTS));
});

afterEach(async () => {
  left.own(slots(0, 128));
  right.own(slots(128, SLOTS));
  for (const child of children.splice(0)) {
    child.kill('SIGKILL');
    await new Promise((resolve) =>
      child.exitCode === null && child.signalCode === null ? child.once('exit', resolve) : resolve(0),
    );
  }
});

afterAll(async () => {
  await Promise.all([left.stop(), right.stop()]);
  await client.close();
  await api.stop();
});

/** What a client has: name=uid. */
interface Store {
  keys(): Promise<string[]>;
}

/** The client-go informer of tools/kubernetes/informer. */
class GoInformer implements Store {
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #answers: ((keys: string[]) => void)[] = [];
  readonly errors: string[] = [];
  synced = false;

  constructor(url: string, form: string) {
    this.#child = launch(resolveBinary('informer'), [`--server=${url}`, '--namespace=default', `--form=${form}`]);
    createInterface(this.#child.stdout).on('line', (text) => {
      const line = JSON.parse(text) as { event: string; keys?: string[]; error?: string };
      if (line.event === 'synced') this.synced = true;
      if (line.event === 'error') this.errors.push(line.error ?? '');
      if (line.event === 'store') this.#answers.shift()?.(line.keys ?? []);
    });
  }

  async keys(): Promise<string[]> {
    if (!this.synced) return [];
    return new Promise((resolve) => {
      this.#answers.push(resolve);
      this.#child.stdin.write('\n');
    });
  }
}

async function expectTruth(one: Store, two: Store): Promise<void> {
  await expect
    .poll(async () => {
      const [a, b, expected] = await Promise.all([one.keys(), two.keys(), truth()]);
      const union = [...a, ...b].toSorted();
      return { missing: expected.filter((key) => !union.includes(key)), extra: union.length - expected.length };
    }, WAIT)
    .toEqual({ missing: [], extra: 0 });
}

describe.each(['protobuf', 'json', 'dynamic', 'metadata'])('client-go informers, %s', (form) => {
  test('see exactly the objects of their slots, through changes and moves', async () => {
    const [one, two] = [new GoInformer(left.url, form), new GoInformer(right.url, form)];
    await expectTruth(one, two);
    expect((await one.keys()).length).toBeGreaterThan(0);
    await change(`go-${form}`);
    await expectTruth(one, two);
    left.own(slots(0, 30));
    right.own(slots(30, SLOTS));
    await expectTruth(one, two);
    left.own(ALL_SLOTS);
    right.own([]);
    await expect.poll(() => two.keys(), WAIT).toEqual([]);
    await expectTruth(one, two);
    expect([...one.errors, ...two.errors]).toEqual([]);
  });
});

/** The informer of @kubernetes/client-node. */
class NodeInformer implements Store {
  readonly #informer: ReturnType<typeof makeInformer<V1Pod>>;
  readonly errors: string[] = [];

  constructor(url: string) {
    const config = new KubeConfig();
    config.loadFromClusterAndUser({ name: 'c', server: url, skipTLSVerify: true }, { name: 'u' });
    const core = config.makeApiClient(CoreV1Api);
    this.#informer = makeInformer(config, PODS, () => core.listNamespacedPod({ namespace: 'default' }));
    this.#informer.on('error', (error: unknown) => this.errors.push(String(error)));
    void this.#informer.start();
  }

  async keys(): Promise<string[]> {
    await Promise.resolve();
    return this.#informer
      .list()
      .map(({ metadata }) => `default/${metadata?.name}=${metadata?.uid}`)
      .toSorted();
  }

  async stop(): Promise<void> {
    await this.#informer.stop();
  }
}

test('informers of @kubernetes/client-node see exactly the objects of their slots', async () => {
  const [one, two] = [new NodeInformer(left.url), new NodeInformer(right.url)];
  await expectTruth(one, two);
  await change('node');
  await expectTruth(one, two);
  left.own(slots(0, 30));
  right.own(slots(30, SLOTS));
  await expectTruth(one, two);
  expect([...one.errors, ...two.errors]).toEqual([]);
  await Promise.all([one.stop(), two.stop()]);
});

/** `kubectl …` to its end. */
async function kubectl(url: string, ...args: string[]): Promise<{ code: number | null; out: string; error: string }> {
  const child = launch(resolveBinary('kubectl'), [`--server=${url}`, ...args]);
  child.stdin.end();
  let out = '';
  let error = '';
  child.stdout.on('data', (bytes) => (out += String(bytes)));
  child.stderr.on('data', (bytes) => (error += String(bytes)));
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, out, error };
}

/** First word of each line of kubectl's output, its head line left out. */
const namesOf = (out: string): string[] =>
  out
    .split('\n')
    .slice(1)
    .map((line) => line.split(/\s+/)[0] ?? '')
    .filter((name) => name !== '')
    .toSorted();

describe('kubectl', () => {
  test('get prints the pods of the slots as a table, in pages too, and -o yaml and -o json whole', async () => {
    const expected = namesOf(
      (await kubectl(api.server, 'get', 'pods', `--token=${api.adminToken}`, '--insecure-skip-tls-verify')).out,
    );
    expect(expected.length).toBeGreaterThanOrEqual(40);
    for (const more of [[], ['--chunk-size=7'], ['-o', 'wide'], ['--show-labels']]) {
      const [a, b] = await Promise.all([left, right].map(({ url }) => kubectl(url, 'get', 'pods', ...more)));
      expect([a?.code, a?.error, b?.code]).toEqual([0, '', 0]);
      expect(a?.out).toMatch(/^NAME +READY +STATUS +RESTARTS +AGE/);
      expect([...namesOf(a?.out ?? ''), ...namesOf(b?.out ?? '')].toSorted()).toEqual(expected);
    }
    const names = await Promise.all(
      [left, right].map(
        async ({ url }) => (await kubectl(url, 'get', 'pods', '-o', 'jsonpath={.items[*].metadata.name}')).out,
      ),
    );
    expect(names.join(' ').split(' ').filter(Boolean).toSorted()).toEqual(expected);
  });

  test('get of one object, explain, api-resources and auth can-i work; everything that writes is refused in words', async () => {
    const [name = ''] = namesOf((await kubectl(left.url, 'get', 'pods')).out);
    expect((await kubectl(left.url, 'get', 'pod', name, '-o', 'yaml')).out).toContain(`name: ${name}`);
    const foreign = await kubectl(right.url, 'get', 'pod', name);
    expect([foreign.code, foreign.error]).toEqual([1, expect.stringContaining('not in the slots of this shard')]);
    for (const args of [['api-resources'], ['explain', 'pod.spec'], ['auth', 'can-i', 'list', 'pods'], ['version']]) {
      expect([args, (await kubectl(left.url, ...args)).code]).toEqual([args, 0]);
    }
    for (const args of [
      ['delete', 'pod', name],
      ['label', 'pod', name, 'a=b'],
      ['create', 'configmap', 'x'],
      ['scale', 'deployment/x', '--replicas=1'],
    ]) {
      const refused = await kubectl(left.url, ...args);
      expect([args, refused.code, refused.error]).toEqual([
        args,
        1,
        expect.stringMatching(/refused|not found|NotFound/),
      ]);
    }
    const logs = await kubectl(left.url, 'logs', name);
    expect([logs.code, logs.error]).toEqual([1, expect.stringContaining('serves no subresources')]);
    expect((await kubectl(left.url, 'get', 'pod', name)).code).toBe(0);
  });

  test('get -w goes on through changes and moves', async () => {
    const lines: string[] = [];
    const child = launch(resolveBinary('kubectl'), [
      `--server=${left.url}`,
      'get',
      'pods',
      '-w',
      '--output-watch-events',
    ]);
    createInterface(child.stdout).on('line', (line) => lines.push(line.split(/\s+/).slice(0, 2).join(' ')));
    const first = namesOf((await kubectl(left.url, 'get', 'pods')).out);
    await expect.poll(() => lines.length, WAIT).toBe(first.length + 1);
    expect(lines[0]).toBe('EVENT NAME');
    expect(lines.slice(1).toSorted()).toEqual(first.map((name) => `ADDED ${name}`));
    await change('kubectl');
    const mine = (await namesOnTheLeft()).filter((name) => name.startsWith('kubectl-'));
    await expect.poll(() => mine.every((name) => lines.includes(`ADDED ${name}`)), WAIT).toBe(true);
    left.own([]);
    const gone = new Set([...first, ...mine]);
    await expect.poll(() => [...gone].filter((name) => !lines.includes(`DELETED ${name}`)), WAIT).toEqual([]);
    left.own(ALL_SLOTS);
    const every = (await truth()).map((key) => key.slice('default/'.length, key.indexOf('=')));
    await expect.poll(() => every.filter((name) => !lines.includes(`ADDED ${name}`)), WAIT).toEqual([]);
    expect(child.exitCode).toBeNull();
  });
});

async function namesOnTheLeft(): Promise<string[]> {
  return namesOf((await kubectl(left.url, 'get', 'pods')).out);
}
