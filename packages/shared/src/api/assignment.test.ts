import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Assignment, assignmentSchema } from '../contracts/index.ts';
import { assignmentOf, instanceSpecOf, shardInstanceName } from './assignment.ts';
import { shardInstanceSpecSchema } from './shard-instance.ts';

const range = fc.tuple(fc.nat(4294967295), fc.nat(4294967295)).map(([a, b]) => ({
  start: Math.min(a, b),
  end: Math.max(a, b),
}));
const moving = fc.tuple(range, fc.stringMatching(/^[a-z0-9]{1,12}$/)).map(([r, migration]) => ({ ...r, migration }));

const assignments: fc.Arbitrary<Assignment> = fc.record(
  {
    v: fc.constant('shard.assignment.v1' as const),
    shardConfig: fc.record({ namespace: fc.constant('ns'), name: fc.constant('demo'), uid: fc.uuid() }),
    shardId: fc.nat(999).map((ordinal) => `shard-${String(ordinal).padStart(3, '0')}`),
    generation: fc.integer({ min: 1, max: 1e6 }),
    epoch: fc.nat(),
    slotCount: fc.constantFrom(64, 256, 4096),
    shardBy: fc.constantFrom('uid' as const, 'namespace' as const),
    hashRanges: fc.array(range, { maxLength: 5 }),
    warmRanges: fc.array(moving, { maxLength: 5 }),
    releaseRanges: fc.array(moving, { maxLength: 5 }),
    keepRanges: fc.array(range, { maxLength: 5 }),
    activeReplica: fc.constantFrom('a' as const, 'b' as const),
  },
  {
    requiredKeys: [
      'v',
      'shardConfig',
      'shardId',
      'generation',
      'epoch',
      'slotCount',
      'shardBy',
      'hashRanges',
      'warmRanges',
      'releaseRanges',
    ],
  },
);

describe('an assignment', () => {
  it('is the same after a way through the spec of a ShardInstance', () => {
    fc.assert(
      fc.property(assignments, (assignment) => {
        const spec = shardInstanceSpecSchema.parse(JSON.parse(JSON.stringify(instanceSpecOf(assignment))));
        const { namespace, name, uid } = assignment.shardConfig;
        const metadata = {
          name: shardInstanceName(name, assignment.shardId),
          namespace,
          uid: `instance-${uid}`,
          resourceVersion: '1',
        };
        const back = assignmentOf({ metadata, spec });
        expect(back).toEqual(assignment);
        expect(assignmentSchema.parse(back)).toEqual(assignment);
      }),
    );
  });
});
