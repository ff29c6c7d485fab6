import type { Heartbeat } from '@shard-controller/shared/contracts';
import { elapse, ManualClock } from '@shard-controller/shared/testing';
import { expect, it } from 'vitest';
import { dataPlaneStatus, handover, identity, snapshotOver } from '../testing/fixtures.ts';
import { ChangeDetector } from './change-detector.ts';
import { HeartbeatSource } from './heartbeat-source.ts';

it('passes on what matters, once for a burst of notices, and no mere activity', async () => {
  let snapshot = snapshotOver();
  const source = new HeartbeatSource(identity, () => snapshot, new ManualClock());
  const told: Heartbeat[] = [];
  const detector = new ChangeDetector(source.peek, (heartbeat) => told.push(heartbeat));
  const notices = async (): Promise<void> => {
    for (let i = 0; i < 50; i++) detector.notice();
    await elapse(60);
  };
  await notices();
  await expect.poll(() => told).toHaveLength(1);
  snapshot = snapshotOver({ dataPlane: dataPlaneStatus({ objects: 99, queueDepth: 5 }), memoryBytes: 7 });
  await notices();
  expect(told).toHaveLength(1);
  snapshot = snapshotOver({ dataPlane: dataPlaneStatus({ handovers: [handover(1)] }) });
  await notices();
  await expect.poll(() => told).toHaveLength(2);
  expect(told.at(-1)?.handovers).toHaveLength(1);
});
