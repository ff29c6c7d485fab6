import { expect, test } from 'vitest';
import { causeOfError, causeOfStatus } from './failure-cause.ts';
import { KubernetesError, type KubernetesErrorCode } from './kubernetes-error.ts';

test.each([
  [401, 'unauthorized'],
  [403, 'forbidden'],
  [404, 'not-found'],
  [405, 'rejected'],
  [410, 'gone'],
  [429, 'throttled'],
  [500, 'server-error'],
  [503, 'server-error'],
  [504, 'timeout'],
])('status %s is %s', (status, cause) => {
  expect(causeOfStatus(status)).toBe(cause);
});

test.each<[KubernetesErrorCode, number, string]>([
  ['SC_KUBERNETES_UNREACHABLE', 0, 'connection'],
  ['SC_KUBERNETES_TIMEOUT', 0, 'timeout'],
  ['SC_KUBERNETES_TLS', 0, 'tls'],
  ['SC_KUBERNETES_BAD_ANSWER', 200, 'malformed'],
  ['SC_KUBERNETES_GONE', 410, 'gone'],
  ['SC_KUBERNETES_UNAVAILABLE', 503, 'server-error'],
])('%s with status %s is %s', (code, status, cause) => {
  const error = new KubernetesError({ code, status, reason: '', method: 'GET', path: '/api/v1/pods', message: 'no' });
  expect(causeOfError(error)).toBe(cause);
});
