import { createServer } from 'node:net';
import { elapse } from '@shard-controller/shared/testing';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { resourcePath } from '@shard-controller/shared/kubernetes';
import { assignment, namesIn, slots, WorkerFixture, type WorkerPod } from './worker-fixture.ts';

let fixture: WorkerFixture;
let uids: ReadonlyMap<string, string>;
const owned = slots(0, 64);

beforeAll(async () => {
  fixture = await WorkerFixture.start();
  uids = await fixture.createConfigMaps('map', 100);
});
afterEach(async () => {
  await fixture.endPods();
});
afterAll(async () => {
  await fixture?.stop();
});

async function saysNotReady(pod: WorkerPod, reason: RegExp): Promise<void> {
  await pod.eventually(async () => {
    const { status, text } = await pod.health('/readyz');
    return status === 503 && reason.test(text) ? undefined : `${status} ${text}`;
  });
}

it('waits for its ShardInstance, says so, and works as soon as it is there', async () => {
  await fixture.deleteInstance('shard-020');
  const pod = await fixture.pod({ ordinal: 20 });
  await saysNotReady(pod, /ShardInstance default\/main-shard-020 does not exist yet; the manager creates it/);
  const scrape = await pod.scrape();
  expect(scrape).toMatchObject({ status: 503, text: expect.stringContaining('main-shard-020 does not exist yet') });
  await fixture.writeInstance(assignment('shard-020', 1, owned));
  await pod.ready();
  expect(await pod.configMaps('map')).toEqual(namesIn(uids, owned));
});

it('says that its token is refused and what to do, and recovers with a good one', async () => {
  await fixture.writeInstance(assignment('shard-021', 1, owned));
  const pod = await fixture.pod({ ordinal: 21, token: 'not-a-token' });
  await saysNotReady(pod, /401 Unauthorized.*check the projected ServiceAccount token/);
  await expect.poll(() => pod.worker.output).toMatch(/waiting for an assignment.*401 Unauthorized/);
  pod.writeToken(fixture.token());
  await pod.ready();
  expect(await pod.configMaps('map')).toEqual(namesIn(uids, owned));
  expect(pod.worker.running).toBe(true);
});

it('names the right that it lacks, and recovers when it is granted', async () => {
  await fixture.writeInstance(assignment('shard-022', 1, owned));
  const account = 'system:serviceaccount:default:powerless';
  const pod = await fixture.pod({ ordinal: 22, token: fixture.apiServer.tokenFor(account) });
  await saysNotReady(
    pod,
    /grant `get` on `shardinstances\.shard\.io` in namespace default to ServiceAccount default\/powerless/,
  );
  const group = 'rbac.authorization.k8s.io';
  await fixture.admin.create(resourcePath({ group, version: 'v1', resource: 'clusterrolebindings' }), {
    metadata: { name: 'powerless' },
    roleRef: { apiGroup: group, kind: 'ClusterRole', name: 'shard-controller-worker' },
    subjects: [{ apiGroup: group, kind: 'User', name: account }],
  });
  await pod.ready();
  expect(await pod.configMaps('map')).toEqual(namesIn(uids, owned));
});

it('keeps trying while the API server is away at the start, and says so', async () => {
  await fixture.writeInstance(assignment('shard-023', 1, owned));
  await fixture.apiServer.kill();
  const pod = await fixture.pod({ ordinal: 23 });
  await saysNotReady(pod, /cannot be read.*refuses connections.*retried until it answers/);
  expect(pod.worker.running).toBe(true);
  await fixture.apiServer.restart();
  await pod.ready();
  expect(await pod.configMaps('map')).toEqual(namesIn(uids, owned));
});

it.each(['GATEWAY_PORT', 'HEALTH_PORT', 'PROXY_PORT'])(
  'ends with one clear line when %s is in use',
  async (variable) => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
    const address = taken.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    try {
      const pod = await fixture.pod({ ordinal: 24, exporter: false, env: { [variable]: String(port) } });
      expect(await pod.worker.exit).toBe(1);
      const fatal = pod.worker.output.split('\n').filter((line) => line.includes('"level":"fatal"'));
      expect(fatal).toHaveLength(1);
      expect(fatal[0]).toContain(String(port));
      expect(fatal[0]).toContain('in use');
      expect(fatal[0]).toContain(variable);
    } finally {
      await new Promise((resolve) => taken.close(resolve));
    }
  },
);

it('lists everything that is wrong with its environment and ends with exit code 2', async () => {
  const env = { NATS_URL: 'somewhere', SCRAPE_HOLD_MS: 'soon', POD_NAME: '' };
  const pod = await fixture.pod({ ordinal: 25, exporter: false, env });
  expect(await pod.worker.exit).toBe(2);
  for (const variable of Object.keys(env)) expect(pod.worker.output).toContain(variable);
});

it('says that it needs a ServiceAccount token when there is none', async () => {
  const env = { SERVICE_ACCOUNT_FOLDER: '/nonexistent' };
  const pod = await fixture.pod({ ordinal: 25, exporter: false, env });
  expect(await pod.worker.exit).toBe(1);
  await expect
    .poll(() => pod.worker.output)
    .toMatch(/\/nonexistent\/token cannot be read: mount a ServiceAccount token/);
});

it('answers scrapes with the reason when kube-state-metrics exits at once, and stays up itself', async () => {
  await fixture.writeInstance(assignment('shard-026', 1, owned));
  const pod = await fixture.pod({ ordinal: 26, exporter: ['/bin/false'] });
  await saysNotReady(pod, /kube-state-metrics is starting/);
  const { status, text } = await pod.scrape();
  expect(status).toBe(503);
  expect(text).toMatch(/kube-state-metrics has not answered yet \(see the log of its container\)/);
  await elapse(1000);
  expect(pod.worker.running).toBe(true);
  expect((await pod.health('/livez')).status).toBe(200);
});

it('refuses a write through the proxy', async () => {
  await fixture.writeInstance(assignment('shard-027', 1, owned));
  const pod = await fixture.pod({ ordinal: 27, exporter: false });
  await pod.eventually(async () => ((await pod.health('/livez')).status === 200 ? undefined : 'not up'));
  const path = '/api/v1/namespaces/default/configmaps';
  for (const [method, target] of [
    ['POST', path],
    ['DELETE', `${path}/map-0`],
    ['PATCH', `${path}/map-0`],
    ['PUT', `${path}/map-0`],
  ] as const) {
    const answer = await fetch(`http://127.0.0.1:${pod.ports.proxy}${target}`, {
      method,
      headers: { 'content-type': 'application/json' },
      ...(method === 'DELETE' ? {} : { body: JSON.stringify({ metadata: { name: 'written' } }) }),
    });
    expect(answer.status).toBeGreaterThanOrEqual(400);
    expect(await answer.text()).toMatch(/read/i);
  }
  await expect(fixture.admin.find(`${path}/written`)).resolves.toBeUndefined();
  await expect(fixture.admin.find(`${path}/map-0`)).resolves.toBeDefined();
});
