import { request as httpRequest, createServer, type IncomingMessage, type Server } from 'node:http';
import { connect } from 'node:net';
import { gunzipSync } from 'node:zlib';
import { elapse, retried } from '@shard-controller/shared/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Workload } from '../workload/index.ts';
import { assignment, NAMESPACE, namesIn, slots, WorkerFixture, type WorkerPod } from './worker-fixture.ts';

const EVERY = slots(0, 256);
const OPEN_METRICS = 'application/openmetrics-text;version=1.0.0,text/plain;q=0.5';
const PODS = 60;

let fixture: WorkerFixture;
let maps: ReadonlyMap<string, string>;
let pod: WorkerPod;

beforeAll(async () => {
  fixture = await WorkerFixture.start();
  maps = await fixture.createConfigMaps('map', 40);
  const workload = new Workload({ client: fixture.admin, seed: 4, pods: PODS, nodes: 2, namespaces: 2 });
  await workload.define();
  await workload.populate();
  await createFurtherKinds();
  await fixture.writeInstance(assignment('shard-000', 1, EVERY));
  pod = await fixture.pod({
    token: fixture.apiServer.adminToken,
    env: { DEBUG_ENDPOINTS: 'true' },
    exporterArgs: [`--resources=${RESOURCES.join(',')}`, '--enable-gzip-encoding'],
  });
  await pod.ready();
});
afterAll(async () => {
  await fixture?.stop();
});

/** All kinds of kube-state-metrics 2.20, not its defaults only. */
const RESOURCES = [
  'certificatesigningrequests,clusterrolebindings,clusterroles,configmaps,cronjobs,daemonsets',
  'deployments,endpoints,endpointslices,horizontalpodautoscalers,ingressclasses,ingresses,jobs,leases',
  'limitranges,mutatingadmissionpolicies,mutatingadmissionpolicybindings,mutatingwebhookconfigurations',
  'namespaces,networkpolicies,nodes,persistentvolumeclaims,persistentvolumes,poddisruptionbudgets,pods',
  'replicasets,replicationcontrollers,resourcequotas,rolebindings,roles,secrets,serviceaccounts',
  'services,statefulsets,storageclasses,validatingadmissionpolicies,validatingadmissionpolicybindings',
  'validatingwebhookconfigurations,volumeattachments',
];

/** Kinds that the workload does not have, so that the table of the self-check meets every kind. */
async function createFurtherKinds(): Promise<void> {
  const role = 'rbac.authorization.k8s.io/v1';
  const admission = 'admissionregistration.k8s.io/v1';
  const match = {
    resourceRules: [
      { apiGroups: ['none.demo.shard.io'], apiVersions: ['v1'], operations: ['CREATE'], resources: ['none'] },
    ],
  };
  const variants = [0, 1].map((i) => String(i));
  for (const i of variants) {
    const metadata = { name: `further-${i}`, namespace: NAMESPACE };
    const objects = [
      { apiVersion: 'v1', kind: 'ServiceAccount', metadata },
      { apiVersion: 'v1', kind: 'Endpoints', metadata, subsets: [] },
      { apiVersion: role, kind: 'Role', metadata, rules: [] },
      {
        apiVersion: role,
        kind: 'RoleBinding',
        metadata,
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'x' },
        subjects: [],
      },
      {
        apiVersion: 'networking.k8s.io/v1',
        kind: 'IngressClass',
        metadata: { name: metadata.name },
        spec: { controller: 'demo.shard.io/none' },
      },
      {
        apiVersion: 'autoscaling/v2',
        kind: 'HorizontalPodAutoscaler',
        metadata,
        spec: { maxReplicas: 2, scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'none' } },
      },
      {
        apiVersion: 'storage.k8s.io/v1',
        kind: 'VolumeAttachment',
        metadata: { name: metadata.name },
        spec: { attacher: 'none.demo.shard.io', nodeName: 'none', source: { persistentVolumeName: 'none' } },
      },
      {
        apiVersion: admission,
        kind: 'ValidatingAdmissionPolicy',
        metadata: { name: metadata.name },
        spec: { matchConstraints: match, validations: [{ expression: 'true' }] },
      },
      {
        apiVersion: admission,
        kind: 'ValidatingAdmissionPolicyBinding',
        metadata: { name: metadata.name },
        spec: { policyName: 'none', validationActions: ['Deny'] },
      },
    ];
    for (const object of objects) await fixture.admin.apply({ object, fieldManager: 'test', force: true });
  }
}

interface Body {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly bytes: Buffer;
}

async function read(port: number, path = '/metrics', headers: Readonly<Record<string, string>> = {}): Promise<Body> {
  return await new Promise((resolve, reject) => {
    const outgoing = httpRequest({ host: '127.0.0.1', port, path, headers, agent: false }, (answer) => {
      const chunks: Buffer[] = [];
      answer.on('data', (chunk: Buffer) => chunks.push(chunk));
      answer.on('error', reject);
      answer.on('end', () =>
        resolve({ status: answer.statusCode ?? 0, headers: answer.headers, bytes: Buffer.concat(chunks) }),
      );
    });
    outgoing.on('error', reject);
    outgoing.end();
  });
}

const sorted = (bytes: Buffer): string[] => bytes.toString().split('\n').sort();

/** A scrape through the gateway, and one past it between which and that nothing has changed: Leases are renewed. */
async function both(headers: Readonly<Record<string, string>> = {}): Promise<{ through: Body; direct: Body }> {
  return await retried(async () => {
    const before = await read(pod.ports.exporter, '/metrics', headers);
    const through = await read(pod.ports.gateway, '/metrics', headers);
    const direct = await read(pod.ports.exporter, '/metrics', headers);
    const plain = ({ bytes, headers }: Body): string =>
      sorted(headers['content-encoding'] === 'gzip' ? gunzipSync(bytes) : bytes).join('\n');
    if (plain(before) !== plain(direct)) throw new Error('what is shown has changed meanwhile');
    return { through, direct };
  });
}

describe('the gateway in front of a real kube-state-metrics', () => {
  it('hands on exactly what it exposes, in every form that it has', async () => {
    const { through: text, direct } = await both();
    expect(sorted(text.bytes)).toEqual(sorted(direct.bytes));
    for (const name of ['content-type', 'content-encoding']) expect(text.headers[name]).toBe(direct.headers[name]);

    const asked = { accept: OPEN_METRICS };
    const open = await read(pod.ports.gateway, '/metrics', asked);
    expect(open.headers['content-type']).toMatch(/^application\/openmetrics-text/);
    expect(open.bytes.toString().endsWith('# EOF\n')).toBe(true);
    expect(open.headers['content-type']).toBe(
      (await read(pod.ports.exporter, '/metrics', asked)).headers['content-type'],
    );

    const { through: zipped, direct: zippedDirect } = await both({ 'accept-encoding': 'gzip' });
    expect(zipped.headers['content-encoding']).toBe('gzip');
    expect(zipped.bytes.length).toBeLessThan(text.bytes.length / 3);
    expect(sorted(gunzipSync(zipped.bytes))).toEqual(sorted(gunzipSync(zippedDirect.bytes)));
  });

  it('hands on the filters of kube-state-metrics', async () => {
    const kindsOf = ({ bytes }: Body): Set<string | undefined> =>
      new Set([...bytes.toString().matchAll(/^kube_([a-z]+)_/gm)].map(([, kind]) => kind));
    expect(kindsOf(await read(pod.ports.gateway, '/metrics?resources=nodes,configmaps'))).toEqual(
      new Set(['node', 'configmap']),
    );
    const without = kindsOf(await read(pod.ports.gateway, '/metrics?exclude_resources=pods'));
    expect([without.has('pod'), without.has('node')]).toEqual([false, true]);
  });

  it('ends every scrape in order although slots come and go meanwhile', async () => {
    const moved = { start: 192 * 2 ** 24, end: 2 ** 32 - 1 };
    const moves = new AbortController();
    const scrapes: number[] = [];
    const scraping = async (): Promise<void> => {
      while (!moves.signal.aborted) {
        const { status, bytes } = await read(pod.ports.gateway, '/metrics', { accept: OPEN_METRICS });
        scrapes.push(bytes.toString().endsWith('# EOF\n') ? status : 0);
      }
    };
    const running = [scraping(), scraping()];
    const shows = (count: number) => async () =>
      (await pod.configMaps('map')).length === count ? undefined : `not ${count}`;
    for (let round = 0; round < 2; round++) {
      const [epoch, migration] = [2 + 3 * round, `m${round}`];
      const over = { releaseRanges: [{ ...moved, migration }] };
      await fixture.writeInstance(assignment('shard-000', epoch, slots(0, 192), over));
      await pod.eventually(shows(namesIn(maps, slots(0, 192)).length));
      const back = { warmRanges: [{ ...moved, migration: `${migration}-back` }] };
      await fixture.writeInstance(assignment('shard-000', epoch + 1, slots(0, 192), back));
      await pod.eventually(shows(maps.size));
      await fixture.writeInstance(assignment('shard-000', epoch + 2, EVERY));
    }
    moves.abort();
    await Promise.all(running);
    expect(new Set(scrapes)).toEqual(new Set([200]));
  });

  it('never makes a scrape look whole when kube-state-metrics is killed in its middle', async () => {
    // Whoever is stopped at the first bytes has mostly not sent the rest; where it has, the scrape is whole: once more.
    let scrape = await stoppedScrape();
    while (scrape === 'whole') scrape = await stoppedScrape();
    expect(scrape).toBe('an error');
    expect((await pod.scrape('/metrics', { 'x-prometheus-scrape-timeout-seconds': '1' })).status).toBe(503);
    pod.startExporter();
    await pod.ready();
  });

  /** Stops kube-state-metrics at the first bytes of a scrape, and kills it unless the scrape ends all the same. */
  async function stoppedScrape(): Promise<'whole' | 'an error' | 'short'> {
    const pid = pod.exporterPid;
    if (pid === undefined) throw new Error('no kube-state-metrics is running');
    const { bytes: before } = await read(pod.ports.gateway);
    const scrape = new Promise<Buffer>((resolve, reject) => {
      const socket = connect(pod.ports.gateway, '127.0.0.1');
      const chunks: Buffer[] = [];
      socket.once('data', () => process.kill(pid, 'SIGSTOP'));
      socket.on('data', (chunk) => chunks.push(chunk));
      socket.on('error', reject);
      socket.on('end', () => resolve(Buffer.concat(chunks)));
      // The form in which a missing end is hardest to see.
      socket.write('GET /metrics HTTP/1.0\r\n\r\n');
    });
    scrape.catch(() => undefined);
    const isOver = await Promise.race([scrape.then(() => true), elapse(300).then(() => false)]);
    if (isOver) process.kill(pid, 'SIGCONT');
    else await pod.killExporter();
    const size = await scrape.then(
      ({ length }) => length,
      () => undefined,
    );
    if (size === undefined) return 'an error';
    return size >= before.length ? 'whole' : 'short';
  }
});

describe('what a worker says about itself', () => {
  it('compares every kind with its exposition, by a metric that has one series per object', async () => {
    const kinds = await settledCheck(pod);
    const withObjects = kinds.filter(({ objects }) => objects > 0);
    expect(withObjects.filter(({ verdict }) => verdict !== 'equal').map(({ resource }) => resource)).toEqual(
      withObjects.some(({ resource }) => resource === 'leases') ? ['leases'] : [],
    );
    expect(withObjects.length).toBeGreaterThanOrEqual(32);
    expect(kinds.find(({ resource }) => resource === 'pods')).toMatchObject({ objects: PODS, series: PODS });
  });

  it('finds one series that the exporter lacks', async () => {
    const proxy = await leavingOut(pod.ports.exporter, /^kube_configmap_info\{.*\n/m);
    await fixture.writeInstance(assignment('shard-001', 1, EVERY));
    // Its own kube-state-metrics is behind the one that leaves something out.
    const other = await fixture.pod({
      ordinal: 1,
      token: fixture.apiServer.adminToken,
      env: { DEBUG_ENDPOINTS: 'true', EXPORTER_PORT: String(proxy.port) },
    });
    try {
      proxy.target = other.ports.exporter;
      await other.ready();
      const kinds = await settledCheck(other);
      const found = kinds.find(({ resource }) => resource === 'configmaps');
      expect(found).toMatchObject({ verdict: 'differs' });
      expect((found?.series ?? 0) - (found?.objects ?? 0)).toBe(-1);
      expect(kinds.filter(({ verdict }) => verdict === 'differs')).toHaveLength(1);
    } finally {
      await other.kill();
      proxy.server.closeAllConnections();
      proxy.server.close();
    }
  });

  it('tells why an object is here, by uid and by name', async () => {
    await fixture.writeInstance(
      assignment('shard-000', 20, slots(0, 128), {
        releaseRanges: [{ start: 2 ** 31, end: 2 ** 32 - 1, migration: 'm3' }],
      }),
    );
    const here = new Set(namesIn(maps, slots(0, 128)));
    await pod.eventually(async () => ((await pod.configMaps('map')).length === here.size ? undefined : 'not released'));
    for (const [name, uid] of maps) {
      const { text } = await pod.health(`/debug/shard?uid=${uid}`);
      const report = JSON.parse(text) as { why: string; slot: number; hash: string };
      expect(report.why).toMatch(
        here.has(name) ? /^here: slot \d+ is owned/ : /^not here: slot \d+ belongs to another/,
      );
      expect(Number(BigInt(report.hash) >> 56n)).toBe(report.slot);
    }
    const [name = ''] = here;
    const { text } = await pod.health(`/debug/shard?resource=configmaps&namespace=${NAMESPACE}&name=${name}`);
    expect(JSON.parse(text)).toMatchObject({
      uid: maps.get(name),
      epoch: 20,
      feeds: [{ name, watches: [{ sent: true, slotState: 'Shown' }] }],
    });
    expect(text).not.toContain('value-');
    const { text: summary } = await pod.health('/debug/shard');
    const { slots: reported } = JSON.parse(summary) as { slots: { role: string }[] };
    expect(reported.filter(({ role }) => role === 'owned')).toHaveLength(128);
  });

  it('has figures per kind: what was received, what is shown, what it weighs', async () => {
    const { text } = await pod.health('/metrics');
    const value = (series: string): number =>
      Number(
        text
          .split('\n')
          .find((line) => line.startsWith(`shard_controller_worker_${series} `))
          ?.split(' ')[1],
      );
    expect(value('bytes_total{resource="pods",direction="received"}')).toBeGreaterThan(PODS * 500);
    expect(value('objects{resource="pods"}')).toBeGreaterThan(0);
    expect(value('object_bytes{resource="pods"}') / value('objects{resource="pods"}')).toBeGreaterThan(300);
    expect(value('feed_proof_age_seconds{resource="pods"}')).toBeGreaterThanOrEqual(0);
    expect(value('feeds_stale')).toBe(0);
  });

  it('shows a frozen API server before its connections break, and goes on serving', async () => {
    const heard = fixture.heartbeats('shard-000');
    const frozenAt = Date.now();
    await fixture.apiServer.pause();
    try {
      await pod.eventually(async () => {
        expect((await pod.scrape()).status).toBe(200);
        const { status, text } = await pod.health('/readyz');
        return status === 503 && text.includes('[-]feeds failed: no sign of progress') ? undefined : text;
      });
      await pod.eventually(async () => (heard.some(({ note }) => note !== undefined) ? undefined : 'no note'));
      const told = heard.find(({ note }) => note?.includes('no sign of progress from the API server') === true);
      expect((told?.sentAt ?? Infinity) - frozenAt).toBeLessThan(60_000);
      expect(told?.feeds.oldestProofMs).toBeGreaterThan(10_000);
      await expect
        .poll(async () => (await pod.health('/metrics')).text)
        .toMatch(/^shard_controller_worker_feeds_stale [1-9]/m);
      const line = 'feeds are cut off from the API server';
      await pod.eventually(async () => (pod.worker.output.includes(line) ? undefined : 'not logged'));
    } finally {
      fixture.apiServer.resume();
    }
    await pod.ready();
    await pod.eventually(async () => (heard.at(-1)?.note === undefined ? undefined : heard.at(-1)?.note));
  });

  it('has no /debug/shard unless it is switched on', async () => {
    await fixture.writeInstance(assignment('shard-002', 1, []));
    const plain = await fixture.pod({ ordinal: 2, exporter: false });
    await plain.eventually(async () => ((await plain.health('/livez')).status === 200 ? undefined : 'not up'));
    expect((await plain.health('/debug/shard')).status).toBe(404);
    await plain.kill();
  });
});

interface KindCheck {
  readonly resource: string;
  readonly verdict: string;
  readonly objects: number;
  readonly series?: number;
}

/** What the self-check says once nothing is under way. */
async function settledCheck(of: WorkerPod): Promise<readonly KindCheck[]> {
  let kinds: readonly KindCheck[] = [];
  await of.eventually(async () => {
    ({ kinds } = JSON.parse((await of.health('/debug/shard?check=now')).text) as { kinds: KindCheck[] });
    const unsettled = kinds.filter(({ verdict }) => verdict === 'unsettled');
    return unsettled.length === 0 ? undefined : JSON.stringify(unsettled);
  });
  return kinds;
}

/** In front of a kube-state-metrics: leaves the first match out of `/metrics`. */
async function leavingOut(
  port: number,
  what: RegExp,
): Promise<{ readonly server: Server; readonly port: number; target: number }> {
  const proxy = { target: port };
  const server = createServer((request, response) => {
    read(proxy.target, request.url).then(
      ({ status, headers, bytes }) => {
        response.writeHead(status, { 'content-type': headers['content-type'] ?? 'text/plain' });
        response.end(bytes.toString().replace(what, ''));
      },
      () => response.destroy(),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const listening = typeof address === 'object' && address !== null ? address.port : 0;
  return Object.assign(proxy, { server, port: listening });
}
