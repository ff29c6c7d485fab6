import { describe, expect, it } from 'vitest';
import { errorOfResponse, missingPermission, parseRetryAfter } from './kubernetes-error.ts';
import { errorOfTransport } from './transport-error.ts';

const request = { method: 'GET', path: '/apis/shard.io/v1/namespaces/x/shardinstances/a' };

function status(fields: Readonly<Record<string, unknown>>): string {
  return JSON.stringify({ kind: 'Status', ...fields });
}

describe('what an error says', () => {
  it('names the missing permission of a namespaced refusal, and who needs it', () => {
    const message =
      'shardinstances.shard.io "a" is forbidden: User "system:serviceaccount:monitoring:shard-controller-worker" cannot get resource "shardinstances" in API group "shard.io" in the namespace "x"';
    const error = errorOfResponse(request, 403, status({ reason: 'Forbidden', message }), undefined);
    expect(error).toMatchObject({ code: 'SC_KUBERNETES_FORBIDDEN', status: 403, reason: 'Forbidden', method: 'GET' });
    expect(error.message).toContain(`GET ${request.path} failed with 403 Forbidden`);
    expect(error.message).toContain(
      'grant `get` on `shardinstances.shard.io` in namespace x to ServiceAccount monitoring/shard-controller-worker',
    );
  });

  it.each([
    [
      'User "jane" cannot list resource "nodes" in API group "" at the cluster scope',
      'grant `list` on `nodes` at the cluster scope to user jane',
    ],
    [
      'User "system:serviceaccount:a:b" cannot patch resource "shardinstances/status" in API group "shard.io" in the namespace "x"',
      'grant `patch` on `shardinstances.shard.io/status` in namespace x to ServiceAccount a/b',
    ],
    ['exceeded quota: small', undefined],
  ])('reads %s', (said, permission) => {
    expect(missingPermission(said)).toBe(permission);
  });

  it('tells what to do about a refused token', () => {
    const error = errorOfResponse(request, 401, status({ message: 'Unauthorized' }), undefined);
    expect(error.code).toBe('SC_KUBERNETES_UNAUTHORIZED');
    expect(error.message).toMatch(/Remedy: the token is missing, expired or of another cluster/);
  });

  it('survives answers that are no Status', () => {
    const error = errorOfResponse(request, 502, '<html>Bad Gateway</html>', undefined);
    expect(error).toMatchObject({ code: 'SC_KUBERNETES_API', status: 502, reason: 'HTTP 502' });
    expect(error.message).toContain('Bad Gateway');
  });

  it('takes the wait from the header, else from the details', () => {
    const body = status({ details: { retryAfterSeconds: 3 } });
    expect(errorOfResponse(request, 429, body, undefined).retryAfterMs).toBe(3_000);
    expect(errorOfResponse(request, 429, body, 1_000).retryAfterMs).toBe(1_000);
  });

  it.each([
    ['ECONNREFUSED', 'SC_KUBERNETES_UNREACHABLE', /refuses connections.*check that kube-apiserver runs/],
    ['ENOTFOUND', 'SC_KUBERNETES_UNREACHABLE', /cannot be resolved.*KUBERNETES_SERVICE_HOST/],
    ['SELF_SIGNED_CERT_IN_CHAIN', 'SC_KUBERNETES_TLS', /no trusted TLS connection.*CA certificate/],
    ['ERR_TLS_CERT_ALTNAME_INVALID', 'SC_KUBERNETES_TLS', /tls-server-name/],
    ['UND_ERR_HEADERS_TIMEOUT', 'SC_KUBERNETES_TIMEOUT', /no complete answer/],
    ['EHOSTUNREACH', 'SC_KUBERNETES_UNREACHABLE', /NetworkPolicy/],
  ])('explains %s with server and remedy', (code, wanted, text) => {
    const error = errorOfTransport(request, 'https://10.0.0.1:443', Object.assign(new Error('low level'), { code }));
    expect(error).toMatchObject({ code: wanted, status: 0, reason: code });
    expect(error.message).toContain('https://10.0.0.1:443');
    expect(error.message).toMatch(text);
  });

  it('finds the cause inside an AggregateError of several addresses', () => {
    const refused = Object.assign(new Error('connect ECONNREFUSED ::1:1'), { code: 'ECONNREFUSED' });
    expect(errorOfTransport(request, 'https://x', new AggregateError([refused])).reason).toBe('ECONNREFUSED');
  });
});

describe('parseRetryAfter', () => {
  it.each([
    ['2', 2_000],
    ['Thu, 01 Jan 1970 00:00:05 GMT', 5_000],
    ['Thu, 01 Jan 1970 00:00:00 GMT', 0],
    ['soon', undefined],
    [undefined, undefined],
  ])('%s', (value, ms) => {
    expect(parseRetryAfter(value, 0)).toBe(ms);
  });
});
