import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectionOptions } from './connection-options.ts';

const base = { servers: 'nats://a:4222, nats://b:4222', name: 'test' };

describe('connection options', () => {
  let folder = '';
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'nats-options-'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  it('notice a dead connection within seconds and take several servers', () => {
    expect(connectionOptions(base)).toMatchObject({
      servers: ['nats://a:4222', 'nats://b:4222'],
      pingInterval: 2000,
      maxPingOut: 2,
      timeout: 2000,
    });
  });

  it.each([
    ['nats://me:pa%3Ass@a:4222', { user: 'me', pass: 'pa:ss' }],
    ['nats://t0ken@a:4222', { token: 't0ken' }],
  ])('take the credentials out of %s', (servers, expected) => {
    expect(connectionOptions({ ...base, servers })).toMatchObject({ servers: ['nats://a:4222'], ...expected });
  });

  it('say which setting is missing when no server is named', () => {
    expect(() => connectionOptions({ ...base, servers: ' , ' })).toThrow(
      expect.objectContaining({ code: 'SC_NATS_CONFIG', message: expect.stringContaining('NATS_URL') }),
    );
  });

  it.each([
    ['an nkey seed', { auth: { kind: 'nkey', seedFile: '/nowhere/seed' } } as const],
    ['credentials', { auth: { kind: 'credentials', file: '/nowhere/creds' } } as const],
    ['a CA', { tls: { caFile: '/nowhere/ca.crt' } } as const],
  ])('name the file when %s cannot be read', (_, extra) => {
    expect(() => connectionOptions({ ...base, ...extra })).toThrow(
      expect.objectContaining({ code: 'SC_NATS_CONFIG', message: expect.stringContaining('/nowhere/') }),
    );
  });

  it('name the file of a key that is no key, and never print it', () => {
    const seedFile = join(folder, 'seed');
    writeFileSync(seedFile, 'SUNOTAKEY');
    const { authenticator } = connectionOptions({ ...base, auth: { kind: 'nkey', seedFile } });
    const sign = (): unknown => (Array.isArray(authenticator) ? undefined : authenticator?.('nonce'));
    expect(sign).toThrow(
      expect.objectContaining({ code: 'SC_NATS_CONFIG', message: expect.stringContaining(seedFile) }),
    );
    expect(sign).not.toThrow(/SUNOTAKEY/);
  });
});
