import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { EventCodec } from './event-codec.ts';

const schema = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('shard.moved.v3'), slots: z.array(z.int()), reason: z.string() }),
  z.strictObject({ type: z.literal('shard.removed.v1'), shardId: z.string() }),
]);
const codec = new EventCodec(schema, {
  'shard.moved.v1': ({ slot, ...event }) => ({ ...event, type: 'shard.moved.v2', slots: [slot] }),
  'shard.moved.v2': (event) => ({ ...event, type: 'shard.moved.v3', reason: 'not recorded' }),
});
const place = { subject: 'shard.events.ns.config.uid', sequence: 17 };

describe('reading a stored event', () => {
  it('gives the present versions as they are', () => {
    const event = { type: 'shard.removed.v1', shardId: 'shard-001' };
    expect(codec.decode(event, place)).toEqual(event);
  });

  it('brings an old version up step by step', () => {
    expect(codec.decode({ type: 'shard.moved.v1', slot: 4 }, place)).toEqual({
      type: 'shard.moved.v3',
      slots: [4],
      reason: 'not recorded',
    });
  });

  it('names a type that it does not know, where it stands and what to do', () => {
    expect(() => codec.decode({ type: 'shard.teleported.v1' }, place)).toThrow(
      expect.objectContaining({
        code: 'SC_EVENT_UNKNOWN',
        type: 'shard.teleported.v1',
        sequence: 17,
        message: expect.stringMatching(/shard\.events\.ns\.config\.uid.*newer version/s),
      }),
    );
  });

  it('names the field of a known type that is wrong', () => {
    expect(() => codec.decode({ type: 'shard.removed.v1', shardId: 5 }, place)).toThrow(
      expect.objectContaining({ code: 'SC_EVENT_INVALID', message: expect.stringContaining('shardId') }),
    );
  });

  it('refuses upcasters that run in a circle instead of hanging', () => {
    const circular = new EventCodec(schema, {
      a: (event) => ({ ...event, type: 'b' }),
      b: (event) => ({ ...event, type: 'a' }),
    });
    expect(() => circular.decode({ type: 'a' }, place)).toThrow(expect.objectContaining({ code: 'SC_EVENT_INVALID' }));
  });
});

describe('writing an event', () => {
  it('refuses what could not be read again', () => {
    const broken = { type: 'shard.moved.v3', slots: [Number.NaN], reason: '' } as const;
    expect(() => codec.encode({ ...broken, slots: [...broken.slots] }, { subject: 'shard.events.x' })).toThrow(
      expect.objectContaining({ code: 'SC_EVENT_INVALID', message: expect.stringContaining('not written') }),
    );
  });
});
