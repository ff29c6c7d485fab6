import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { MessageTooLargeError } from './errors.ts';
import { encodeMessage, MAX_MESSAGE_BYTES, parseMessage } from './message.ts';

const schema = z.object({ shard: z.object({ epoch: z.int() }) });
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

describe('reading a message', () => {
  it('gives the value of a good one', () => {
    expect(parseMessage(schema, bytes('{"shard":{"epoch":7}}'))).toEqual({ ok: true, value: { shard: { epoch: 7 } } });
  });

  it.each([
    ['bytes that are no UTF-8', new Uint8Array([0xff, 0xfe, 0x00])],
    ['an empty message', new Uint8Array()],
    ['half a message', bytes('{"shard":{')],
  ])('%s are a problem, not an exception', (_, data) => {
    expect(parseMessage(schema, data)).toEqual({
      ok: false,
      problem: `message of ${data.byteLength} bytes is not JSON`,
    });
  });

  it('names the field that is wrong', () => {
    expect(parseMessage(schema, bytes('{"shard":{"epoch":"x"}}'))).toMatchObject({
      ok: false,
      problem: expect.stringMatching(/^shard\.epoch: /),
    });
  });

  it('does not even parse one that is over the bound', () => {
    const huge = bytes(`{"shard":{"epoch":1},"pad":"${'x'.repeat(MAX_MESSAGE_BYTES)}"}`);
    expect(parseMessage(schema, huge)).toMatchObject({ ok: false, problem: expect.stringContaining('too large') });
  });
});

describe('the size bound of a message', () => {
  it('counts bytes, not characters', () => {
    const text = 'ä'.repeat(MAX_MESSAGE_BYTES / 2);
    expect(() => encodeMessage('shard.events.a', text)).toThrow(MessageTooLargeError);
    expect(encodeMessage('shard.events.a', 'a'.repeat(MAX_MESSAGE_BYTES - 2)).byteLength).toBe(MAX_MESSAGE_BYTES);
  });

  it('says which subject, how large, and what to do', () => {
    const attempt = (): unknown => encodeMessage('shard.events.ns.config', 'a'.repeat(70_000));
    expect(attempt).toThrow(
      expect.objectContaining({
        code: 'SC_MESSAGE_TOO_LARGE',
        bytes: 70_002,
        message: expect.stringMatching(/shard\.events\.ns\.config.*split it/s),
      }),
    );
  });
});
