import { createAccount, fromPublic } from '@nats-io/nkeys';
import { expect, it } from 'vitest';
import { signingKey } from './signing-key.ts';

it("signs as the library does, and the library takes Node's signature", () => {
  for (let i = 0; i < 20; i++) {
    const pair = createAccount();
    const key = signingKey(`${new TextDecoder().decode(pair.getSeed())}\n`);
    const text = new TextEncoder().encode(`text ${i}`);
    expect(key.getPublicKey()).toBe(pair.getPublicKey());
    expect(Buffer.from(key.sign(text))).toEqual(Buffer.from(pair.sign(text)));
    expect(fromPublic(pair.getPublicKey()).verify(text, key.sign(text))).toBe(true);
  }
});

it('takes no text that is not a seed', () => {
  expect(() => signingKey('SUNOTAKEY')).toThrow(/nkeys/);
  expect(() => signingKey('')).toThrow(/nkeys/);
});
