import { expect, test } from 'vitest';
import { unavailableKind } from '../testing/fixtures.ts';
import { ShardConditions } from './shard-conditions.ts';

test('a shard is degraded while kinds cannot be read, with names, causes and remedies, and since when', () => {
  const conditions = new ShardConditions();
  expect(conditions.of({ sentAt: 1_000 })).toEqual([
    {
      type: 'Degraded',
      status: 'False',
      reason: 'AsExpected',
      message: 'all exported kinds can be read',
      lastTransitionTime: '1970-01-01T00:00:01Z',
    },
  ]);
  const kinds = [
    unavailableKind('pods', 'pods is forbidden'),
    { ...unavailableKind('nodes', 'was gone'), mending: true },
  ];
  const bad = conditions.of({ sentAt: 7_000, unavailable: { total: 40, kinds } });
  expect(bad).toMatchObject([
    { status: 'True', reason: 'KindUnavailable', lastTransitionTime: '1970-01-01T00:00:07Z' },
  ]);
  expect(bad[0]?.message).toBe(
    'pods: forbidden since 1970-01-01T00:00:05.000Z: pods is forbidden; nodes: can be read again and is loading; ' +
      'it was forbidden since 1970-01-01T00:00:05.000Z: was gone; and 38 more kinds',
  );
  const later = conditions.of({ sentAt: 9_000, unavailable: { total: 1, kinds: kinds.slice(0, 1) } });
  expect(later[0]?.lastTransitionTime).toBe('1970-01-01T00:00:07Z');
  expect(conditions.of({ sentAt: 11_000 })).toMatchObject([
    { status: 'False', lastTransitionTime: '1970-01-01T00:00:11Z' },
  ]);
});
