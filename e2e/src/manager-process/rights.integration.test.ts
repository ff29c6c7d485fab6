import { isNotFound, resourcePath } from '@shard-controller/shared/kubernetes';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { AuditLog } from '../cluster/audit-log.ts';
import { chartRights } from '../install/rights.ts';
import { ManagerFixture } from './manager-fixture.ts';

/** Asked for in situations that are not made here. */
const ELSEWHERE = [
  // By the API server on the manager's behalf, without a request: OwnerReferencesPermissionEnforcement.
  'shard.io/shardconfigs/finalizers update',
  // Whether a ShardConfig that became older than what was seen, as after a restored backup, is so in truth.
  'shard.io/shardconfigs get',
  // Why a pod was refused.
  '/events list',
  // An Event that is repeated.
  'events.k8s.io/events patch',
];

let audit: AuditLog;
let fixture: ManagerFixture;

beforeAll(async () => {
  audit = new AuditLog();
  // As on OpenShift.
  const admission = '--enable-admission-plugins=OwnerReferencesPermissionEnforcement';
  fixture = await ManagerFixture.start({ apiServerArgs: [...audit.flags(), admission] });
  await fixture.manager({ env: { RESYNC_INTERVAL: '1s' } });
});

afterAll(async () => {
  await fixture?.stop();
  audit.remove();
});

const budget = resourcePath({
  group: 'policy',
  version: 'v1',
  resource: 'poddisruptionbudgets',
  namespace: 'default',
  name: 'main',
});

const exists = async (path: string): Promise<boolean> => {
  try {
    await fixture.client.get(path);
    return true;
  } catch (error) {
    if (isNotFound(error)) return false;
    throw error;
  }
};

it('a manager asks for what the chart grants it, and for nothing else', async () => {
  await fixture.createConfig('main', { mode: 'Manual', shards: 2, minShards: 1, maxShards: 4 });
  await fixture.settled('main', 2);
  await fixture.patchConfig('main', { shards: 3, replicasPerShard: 2 });
  await fixture.settled('main', 3);
  await fixture.patchConfig('main', { shards: 2, replicasPerShard: 1 });
  await fixture.settled('main', 2);
  await fixture.patchConfig('main', {
    exporter: { image: 'kube-state-metrics:next' },
    distribution: { enablePDB: false },
  });
  await fixture.settled('main', 2);
  await expect.poll(() => exists(budget)).toBe(false);
  const { manager } = await chartRights('default');
  const granted = manager.flatMap(({ apiGroups, resources, verbs }) =>
    apiGroups.flatMap((group) => resources.flatMap((resource) => verbs.map((verb) => `${group}/${resource} ${verb}`))),
  );
  const asked = audit.rightsAsked('shard-controller-manager');
  expect(asked.filter((right) => !granted.includes(right))).toEqual([]);
  expect(granted.filter((right) => !asked.includes(right) && !ELSEWHERE.includes(right))).toEqual([]);
});
