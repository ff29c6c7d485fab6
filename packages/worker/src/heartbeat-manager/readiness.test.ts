import { expect, it } from 'vitest';
import { dataPlaneStatus, snapshotOver } from '../testing/fixtures.ts';
import { readinessOf } from './readiness.ts';

const ready = {
  assignment: undefined,
  exporter: undefined,
  feeds: undefined,
  slots: undefined,
  exposition: undefined,
};

it('is ready with everything acknowledged, and with no slots at all', () => {
  expect(readinessOf(snapshotOver(), '')).toEqual(ready);
  const idle = snapshotOver({
    dataPlane: dataPlaneStatus({ slots: { assigned: 0, acknowledged: 0, shown: 0 }, exposedSlots: 0 }),
  });
  expect(readinessOf(idle, '')).toEqual(ready);
});

it('names each reason', () => {
  const starting = snapshotOver({
    assignment: undefined,
    exporter: { state: 'starting', since: 1 },
    dataPlane: dataPlaneStatus({
      feeds: { synced: 2, total: 8, oldestProofMs: 1 },
      slots: { assigned: 3, acknowledged: 1, shown: 1 },
    }),
  });
  expect(readinessOf(starting, 'the ShardInstance does not exist yet')).toEqual({
    assignment: 'the ShardInstance does not exist yet',
    exporter: 'kube-state-metrics is starting',
    feeds: '2 of 8 feeds from the API server are open',
    slots: 'the exporter shows 1 of 3 assigned slots completely',
    exposition: undefined,
  });
  const deaf = snapshotOver({ dataPlane: dataPlaneStatus({ feeds: { synced: 0, total: 0, oldestProofMs: 0 } }) });
  expect(readinessOf(deaf, '').feeds).toMatch(/has not asked for any resource/);
});

it('is not ready while feeds hear nothing, or while the exposition is not what the exporter was sent', () => {
  const over = { staleFeeds: ['/api/v1/nodes', '/api/v1/pods'] };
  const frozen = snapshotOver({ dataPlane: dataPlaneStatus(over), mismatch: 'pods differ' });
  expect(readinessOf(frozen, '')).toMatchObject({
    feeds:
      'no sign of progress from the API server for /api/v1/nodes and 1 more feeds: served series may be out of date',
    exposition: 'pods differ',
  });
});
