import { createLogger } from '@shard-controller/shared/observability';
import { expect, it } from 'vitest';
import type { DataPlane } from '../data-plane/data-plane.ts';
import type { SlotAssignment } from '../slots/slot-assignment.ts';
import { assignmentOver, dataPlaneStatus, identity } from '../testing/fixtures.ts';
import { AssignmentKeeper } from './assignment-keeper.ts';

function keeping() {
  const applied: SlotAssignment[] = [];
  const lines: string[] = [];
  const offers: string[] = [];
  const dataPlane: Pick<DataPlane, 'applyAssignment' | 'status'> = {
    applyAssignment: (assignment) => applied.push(assignment),
    status: () => dataPlaneStatus(),
  };
  const keeper = new AssignmentKeeper({
    identity,
    dataPlane,
    logger: createLogger({ name: 'test', destination: { write: (line: string) => void lines.push(line) } }),
    onChange: () => offers.push('changed'),
    onOffer: (source, kind) => offers.push(`${source} ${kind}`),
  });
  return { keeper, applied, lines, offers };
}

it('hands an accepted assignment on as slots, once, however often it is repeated', () => {
  const { keeper, applied, offers } = keeping();
  keeper.offer(assignmentOver());
  keeper.offer(assignmentOver());
  expect(applied).toEqual([expect.objectContaining({ epoch: 10, owned: [0, 1, 2] })]);
  expect(offers).toEqual(['shardinstance accepted', 'changed', 'shardinstance current']);
});

it('keeps the data plane as it is for a refused, an older and a broken one, and says so once each', () => {
  const { keeper, applied, lines, offers } = keeping();
  keeper.offer(assignmentOver());
  for (let i = 0; i < 3; i++) keeper.offer(assignmentOver({ epoch: 11, slotCount: 512 }));
  for (let i = 0; i < 3; i++) keeper.offer(assignmentOver({ epoch: 3 }));
  for (let i = 0; i < 3; i++) keeper.invalid('nats', 'not JSON');
  expect(applied).toHaveLength(1);
  expect(keeper.refusal).toMatchObject({ generation: 1, epoch: 11 });
  expect(lines).toHaveLength(4);
  expect(lines[1]).toMatch(/assignment refused; the one in force is kept/);
  expect(lines[2]).toMatch(/older assignment ignored/);
  expect(lines[3]).toMatch(/not an assignment/);
  expect(offers.filter((offer) => offer === 'shardinstance refused')).toHaveLength(3);
});
