import { KubernetesClient, staticEndpoint } from '@shard-controller/shared/kubernetes';
import { FakeApiServer } from '@shard-controller/shared/kubernetes/testing';
import { createLogger } from '@shard-controller/shared/observability';
import { ManualClock } from '@shard-controller/shared/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ClusterState } from './cluster-state.ts';

const PODS = '/api/v1/namespaces/monitoring/pods';
const logger = createLogger({ name: 'test', level: 'silent' });

let server: FakeApiServer;
let client: KubernetesClient;
let clock: ManualClock;
let state: ClusterState;
let stop: AbortController;

beforeEach(async () => {
  server = await FakeApiServer.start();
  const endpoint = staticEndpoint({ server: server.url, ca: server.serving.certificate, token: 't' });
  client = new KubernetesClient({ endpoint, logger, userAgent: 'test' });
  clock = new ManualClock();
  stop = new AbortController();
  const handler = { scaleChanged() {}, podsChanged() {}, allChanged() {}, removed() {}, invalid() {} };
  state = new ClusterState({ client, namespaces: ['monitoring'], logger, clock, handler });
});

afterEach(async () => {
  stop.abort();
  await client.close();
  await server.stop();
});

const pod = (name: string) => ({
  metadata: {
    namespace: 'monitoring',
    name,
    uid: `uid-${name}`,
    resourceVersion: '1',
    labels: { 'app.kubernetes.io/name': 'kube-state-metrics', 'ksmscale.example.com': 'one' },
  },
  spec: {},
  status: {},
});

const names = (): readonly string[] => state.podsOf('one').map(({ name }) => name);

describe('a pod that was just created', () => {
  it('counts before the watch shows it, and once when the watch does', async () => {
    state.assume(pod('a'));
    expect(names()).toEqual(['a']);
    server.store(PODS).put('a', pod('a'));
    const running = state.run(stop.signal);
    await state.synced;
    expect(names()).toEqual(['a']);
    state.assume(pod('a'));
    expect(names()).toEqual(['a']);
    server.store(PODS).delete('a');
    await expect.poll(names).toEqual([]);
    stop.abort();
    await running;
  });

  it('counts no more when the watch has not shown it for half a minute', async () => {
    state.assume(pod('a'));
    await clock.advance(29_000);
    expect(names()).toEqual(['a']);
    await clock.advance(1_001);
    expect(names()).toEqual([]);
  });

  it('is nothing when it cannot be read', () => {
    state.assume({ kind: 'Status' });
    expect(names()).toEqual([]);
  });
});
