import { X509Certificate } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { RENEWAL_MS } from './certificates.ts';
import { completed, type Credentials } from './credentials.ts';

const NOTHING: Credentials = { server: {}, manager: {}, inspector: {}, ca: {} };
const NAMES = ['nats', 'nats.monitoring.svc', '*.nats-servers.monitoring.svc', '10.0.0.1'];
const nowMs = Date.now();
const wanted = { account: 'SHARDS', names: NAMES, nowMs };
const made = completed(NOTHING, wanted);

describe('credentials for NATS', () => {
  it('are complete at once', () => {
    expect(Object.keys(made.server)).toEqual(['ca.crt', 'ca.key', 'tls.crt', 'tls.key', 'users.conf']);
    expect(made.manager['issuer.nk']).toMatch(/^SA[A-Z2-7]+$/);
    expect(made.manager['nats.nk']).toMatch(/^SU[A-Z2-7]+$/);
    expect(made.inspector['nats.nk']).toMatch(/^SU[A-Z2-7]+$/);
    expect(made.ca).toEqual({ 'ca.crt': made.server['ca.crt'] });
  });

  it('give away no secret where it is not needed', () => {
    const secrets = [made.manager['issuer.nk'], made.manager['nats.nk'], made.inspector['nats.nk']];
    for (const secret of secrets) expect(JSON.stringify([made.server, made.ca])).not.toContain(secret);
    expect(JSON.stringify([made.manager, made.inspector, made.ca])).not.toContain('PRIVATE KEY');
  });

  it('have a certificate for every name of the servers, signed by an authority of their own', () => {
    const certificate = new X509Certificate(made.server['tls.crt'] ?? '');
    const ca = new X509Certificate(made.server['ca.crt'] ?? '');
    expect(certificate.verify(ca.publicKey)).toBe(true);
    expect(ca.verify(ca.publicKey)).toBe(true);
    expect([ca.ca, certificate.ca]).toEqual([true, false]);
    expect(certificate.checkHost('nats-2.nats-servers.monitoring.svc')).toBeDefined();
    expect(certificate.checkIP('10.0.0.1')).toBe('10.0.0.1');
    expect(certificate.checkHost('elsewhere')).toBeUndefined();
  });

  it('stay as they are when they are made again', () => {
    expect(completed(made, { ...wanted, nowMs: nowMs + 1000 })).toEqual(made);
  });

  it('get a new certificate of the same authority for another name', () => {
    const more = completed(made, { ...wanted, names: [...NAMES, 'nats.elsewhere'] });
    expect(more.server['ca.crt']).toBe(made.server['ca.crt']);
    expect(more.manager).toEqual(made.manager);
    expect(new X509Certificate(more.server['tls.crt'] ?? '').checkHost('nats.elsewhere')).toBeDefined();
  });

  it('get new certificates, and keep their keys, when little is left of the old ones', () => {
    const later = completed(made, { ...wanted, nowMs: nowMs + 10 * 365 * 86_400_000 - RENEWAL_MS + 1000 });
    expect(later.server['ca.crt']).not.toBe(made.server['ca.crt']);
    expect(later.manager).toEqual(made.manager);
    expect(later.server['users.conf']).toBe(made.server['users.conf']);
  });

  it.each([
    ['a key of another kind', { ...made, manager: { ...made.manager, 'issuer.nk': made.manager['nats.nk'] ?? '' } }],
    ['what is no key', { ...made, manager: { ...made.manager, 'issuer.nk': 'x' } }],
  ])('replace %s', (_, broken) => {
    const mended = completed(broken, wanted);
    expect(mended.manager['issuer.nk']).toMatch(/^SA/);
    expect(mended.manager['nats.nk']).toBe(made.manager['nats.nk']);
    expect(mended.server['users.conf']).not.toBe(made.server['users.conf']);
  });

  it('replace what is no certificate', () => {
    const mended = completed({ ...made, server: { ...made.server, 'tls.crt': 'x' } }, wanted);
    expect(mended.server['ca.crt']).toBe(made.server['ca.crt']);
    expect(mended.server['tls.crt']).toContain('BEGIN CERTIFICATE');
  });
});
