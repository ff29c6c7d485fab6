import { createServer } from 'node:http';
import { portOf } from '@shard-controller/shared/listening';
import { afterEach, expect, it } from 'vitest';
import type { ObjectQuery, ObjectReport } from '../data-plane/inspection.ts';
import type { KindCheck } from '../self-check/comparison.ts';
import { feedReport, snapshotOver } from '../testing/fixtures.ts';
import { shardEndpoint } from './shard-endpoint.ts';

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

async function serving(checks: () => Promise<readonly KindCheck[]> = () => Promise.resolve([])) {
  const asked: ObjectQuery[] = [];
  const report: ObjectReport = {
    uid: 'u',
    slotCount: 256,
    shardBy: 'uid',
    hash: '0x0',
    slot: 1,
    role: 'owned',
    generation: 1,
    epoch: 2,
    feeds: [],
    why: 'because',
  };
  const route = shardEndpoint({
    inspection: {
      feeds: () => [feedReport()],
      slots: () => [
        { slot: 0, role: 'none', objects: 0, bytes: 0, churn: 0 },
        { slot: 1, role: 'owned', objects: 5, bytes: 500, churn: 1 },
        { slot: 2, role: 'none', objects: 1, bytes: 9, churn: 0 },
      ],
      totals: () => ({ bytes: 509, churn: 1 }),
      find: (query) => {
        asked.push(query);
        return report;
      },
    },
    snapshot: () => snapshotOver(),
    selfCheck: { now: checks, mismatches: new Map([['pods', -1]]) },
  });
  const server = createServer((request, response) => void route(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => {
    server.closeAllConnections();
    server.close();
  });
  const port = portOf(server) ?? 0;
  const get = async (query: string): Promise<{ status: number; body: unknown }> => {
    const answer = await fetch(`http://127.0.0.1:${port}/debug/shard${query}`);
    return { status: answer.status, body: await answer.json() };
  };
  return { get, asked };
}

it('sums up feeds and the slots that are in use', async () => {
  const { get } = await serving();
  const { status, body } = await get('');
  expect(status).toBe(200);
  expect(body).toMatchObject({
    assignment: { epoch: 10 },
    feeds: [{ feed: '/api/v1/pods', known: 60 }],
    slots: [{ slot: 1 }, { slot: 2 }],
    mismatches: { pods: -1 },
    totals: { bytes: 509 },
  });
});

it('asks for one object by uid, or by kind and name', async () => {
  const { get, asked } = await serving();
  expect(await get('?uid=u&namespace=x')).toMatchObject({
    status: 200,
    body: { why: 'because', gateway: { open: true } },
  });
  await get('?resource=pods&namespace=x&name=web-1');
  await get('?resource=nodes&name=n1');
  expect(asked).toEqual([
    { uid: 'u', namespace: 'x' },
    { resource: 'pods', namespace: 'x', name: 'web-1' },
    { resource: 'nodes', namespace: '', name: 'n1' },
  ]);
});

it.each([
  '?uid=',
  '?name=web-1',
  '?resource=pods',
  '?uid=u&name=n',
  '?pod=web-1',
  `?uid=${'x'.repeat(300)}`,
  '?check=later',
])('says how to ask when the question is %s', async (query) => {
  const { get, asked } = await serving();
  expect(await get(query)).toMatchObject({ status: 400, body: { error: expect.stringContaining('?uid=<uid>') } });
  expect(asked).toEqual([]);
});

it('runs the self-check when asked, and says why it cannot', async () => {
  const check: KindCheck = { resource: 'pods', verdict: 'equal', objects: 1, series: 1, reason: '' };
  const { get } = await serving(() => Promise.resolve([check]));
  expect(await get('?check=now')).toEqual({ status: 200, body: { kinds: [check] } });
  const failing = await serving(() => Promise.reject(new Error('kube-state-metrics answered 500')));
  expect(await failing.get('?check=now')).toEqual({
    status: 503,
    body: { error: 'kube-state-metrics answered 500' },
  });
});
