import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { dataPlaneStatus } from '../testing/fixtures.ts';
import { StatusNotices } from './status-notices.ts';

test('tells once of all changes of a turn, and of nothing that is no change', async () => {
  let status = dataPlaneStatus();
  let looks = 0;
  let notices = 0;
  const watched = new StatusNotices(() => {
    looks++;
    return status;
  });
  const stop = watched.onChange(() => notices++);
  watched.consider();
  watched.consider();
  await nextTurn();
  expect([looks, notices]).toEqual([1, 1]);
  status = dataPlaneStatus({ objects: 99, queueDepth: 7 });
  watched.consider();
  await nextTurn();
  expect([looks, notices]).toEqual([2, 1]);
  status = dataPlaneStatus({ warmReason: 'pods is being listed' });
  watched.consider();
  await nextTurn();
  expect(notices).toBe(2);
  stop();
  status = dataPlaneStatus();
  watched.consider();
  await nextTurn();
  expect(notices).toBe(2);
});
