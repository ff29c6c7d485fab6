import { ManualClock } from '@shard-controller/shared/testing';
import { exportJWK, generateKeyPair, type JWTPayload, SignJWT } from 'jose';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { PodTokens } from './pod-tokens.ts';

const ISSUER = 'https://kubernetes.default.svc';
const POD = { name: 'main-a-0', uid: 'uid-of-pod' };

type Pair = Awaited<ReturnType<typeof generateKeyPair>>;
let first: Pair;
let second: Pair;

beforeAll(async () => {
  [first, second] = await Promise.all([generateKeyPair('RS256'), generateKeyPair('RS256')]);
});

describe('tokens of pods', () => {
  let clock: ManualClock;
  let served: { readonly kid: string; readonly pair: Pair }[];
  let reads = 0;
  let tokens: PodTokens;

  beforeEach(() => {
    clock = new ManualClock();
    served = [{ kid: 'one', pair: first }];
    reads = 0;
    tokens = new PodTokens({ client: { request }, audience: 'nats.shard.io', clock });
  });

  async function request<T>({ path }: { readonly path: string }): Promise<T> {
    if (path === '/.well-known/openid-configuration') return JSON.parse(JSON.stringify({ issuer: ISSUER }));
    reads += 1;
    const keys = await Promise.all(
      served.map(async ({ kid, pair }) => ({ ...(await exportJWK(pair.publicKey)), kid, alg: 'RS256' })),
    );
    return JSON.parse(JSON.stringify({ keys }));
  }

  const claims = { 'kubernetes.io': { namespace: 'monitoring', serviceaccount: { name: 'worker' }, pod: POD } };

  function token(
    changes: { readonly kid?: string; readonly pair?: Pair; readonly audience?: string; readonly issuer?: string } = {},
    payload: JWTPayload = claims,
  ): Promise<string> {
    const { kid = 'one', pair = first, audience = 'nats.shard.io', issuer = ISSUER } = changes;
    const seconds = Math.floor(clock.now() / 1000);
    return new SignJWT(payload)
      .setProtectedHeader({ alg: 'RS256', kid })
      .setIssuer(issuer)
      .setAudience([audience])
      .setIssuedAt(seconds)
      .setExpirationTime(seconds + 3600)
      .sign(pair.privateKey);
  }

  it('say which pod of which account they are for', async () => {
    const seen = await tokens.verify(await token());
    expect(seen).toEqual({
      namespace: 'monitoring',
      serviceAccount: 'worker',
      pod: POD,
      expiresAt: Math.floor(clock.now() / 1000) + 3600,
    });
  });

  it('are checked by keys that are read once for all who come at the same time', async () => {
    const one = await token();
    await Promise.all(Array.from({ length: 50 }, () => tokens.verify(one)));
    expect(reads).toBe(1);
  });

  it.each([
    ['another audience', { audience: 'https://kubernetes.default.svc' }, /ERR_JWT_CLAIM_VALIDATION_FAILED/],
    ['another issuer', { issuer: 'https://elsewhere' }, /ERR_JWT_CLAIM_VALIDATION_FAILED/],
    ['a key that the API server does not have', { kid: 'two' }, /ERR_JWKS_NO_MATCHING_KEY/],
  ])('are refused for %s', async (_, changes, problem) => {
    await expect(tokens.verify(await token(changes))).rejects.toMatchObject({ code: 'SC_TOKEN_REFUSED' });
    await expect(tokens.verify(await token(changes))).rejects.toThrow(problem);
  });

  it('are refused when signed by another key of the same name', async () => {
    await expect(tokens.verify(await token({ pair: second }))).rejects.toThrow(/SIGNATURE/);
  });

  it.each(['', 'x', 'a.b.c', `${'a'.repeat(20_000)}.b.c`])('are refused for what is no token', async (text) => {
    const error: unknown = await tokens.verify(text).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'SC_TOKEN_REFUSED' });
    expect(String(error).length).toBeLessThan(200);
  });

  it('are refused when they are of no pod', async () => {
    const account = { 'kubernetes.io': { namespace: 'monitoring', serviceaccount: { name: 'worker' } } };
    await expect(tokens.verify(await token({}, account))).rejects.toThrow(/not that of a pod/);
  });

  it('are refused once they have expired', async () => {
    const old = await token();
    await clock.advance(3_601_000);
    await expect(tokens.verify(old)).rejects.toThrow(/expired/);
  });

  it('of a new key are taken soon after the API server has changed its keys, whose reading strangers cannot hasten', async () => {
    await tokens.verify(await token());
    served = [{ kid: 'two', pair: second }];
    const next = await token({ kid: 'two', pair: second });
    for (let i = 0; i < 10; i++) await expect(tokens.verify(next)).rejects.toThrow(/NO_MATCHING_KEY/);
    expect(reads).toBe(1);
    await clock.advance(10_001);
    const later = await token({ kid: 'two', pair: second });
    expect(await tokens.verify(later)).toMatchObject({ pod: POD });
    expect(reads).toBe(2);
  });
});
