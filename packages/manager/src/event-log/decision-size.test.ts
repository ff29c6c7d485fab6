import { encodeMessage } from '@shard-controller/shared/nats';
import { describe, expect, it } from 'vitest';
import { shardEventSchema, shardIdOf } from '../aggregate/index.ts';
import { ModelWorld, testSettings } from '../aggregate/testing/model-world.ts';
import { DECISION_V1, decisionSchema } from './decision.ts';
import { EventCodec } from './event-codec.ts';

const codec = new EventCodec(shardEventSchema);

/** Encodes every decision as the log would; bytes of the largest. @throws MessageTooLargeError */
function largest({ decisions }: ModelWorld): number {
  const sizes = decisions.map(({ command, decision }) => {
    if (decision.kind === 'rejected' || decision.events.length === 0) return 0;
    const stored = decisionSchema.parse({
      v: DECISION_V1,
      id: 'd'.repeat(36),
      at: command.now,
      manager: { identity: 'm'.repeat(100), term: 1 },
      generation: 1,
      stream: 's'.repeat(64),
      command: 'c'.repeat(500),
      reason: 'r'.repeat(500),
      events: decision.events.map((event) => codec.encode(event, { subject: 'test' })),
    });
    return encodeMessage('test', stored).byteLength;
  });
  return Math.max(...sizes);
}

describe('a decision about a large fleet fits into a message', () => {
  const settings = { ...testSettings, slotCount: 4096, shards: 150, maxShards: 300 };

  it.each(['consistent-hash', 'round-robin'])(
    '%s: its shards are doubled, then a third of them is lost',
    (strategy) => {
      const world = new ModelWorld({ settings: { ...settings, strategy } });
      world.run(4);
      expect(world.gaps()).toEqual([]);
      world.configure({ shards: 300 });
      world.run(6);
      expect(world.events('shard.migration.planned.v1').length).toBeGreaterThan(50);
      for (let ordinal = 0; ordinal < 150; ordinal += 2) {
        world.lostNodes.add(shardIdOf(ordinal));
        world.kill(shardIdOf(ordinal));
      }
      world.run(9);
      expect(world.gaps()).toEqual([]);
      expect(largest(world)).toBeGreaterThan(0);
    },
    20_000,
  );
});
