import { Readable } from 'node:stream';
import { expect, test } from 'vitest';
import { failureOf } from './upstream-failure.ts';

const field = (number: number, text: string): Buffer =>
  Buffer.concat([Buffer.from([(number << 3) | 2, text.length]), Buffer.from(text)]);

/** As kube-apiserver writes it: `k8s\\0`, then Unknown{typeMeta=1, raw=2} around Status{message=3, reason=4, code=6}. */
function protobufStatus(message: string, reason: string): Buffer {
  const status = Buffer.concat([field(3, message), field(4, reason), Buffer.from([0x30, 0x93, 0x03])]);
  const typeMeta = Buffer.concat([field(1, 'v1'), field(2, 'Status')]);
  return Buffer.concat([
    Buffer.from('k8s\0'),
    Buffer.from([0x0a, typeMeta.length]),
    typeMeta,
    Buffer.from([0x12, status.length]),
    status,
  ]);
}

test.each([
  ['protobuf', protobufStatus('pods is forbidden', 'Forbidden')],
  [
    'JSON',
    Buffer.from(JSON.stringify({ kind: 'Status', code: 403, reason: 'Forbidden', message: 'pods is forbidden' })),
  ],
])('the own sentence of the API server is read in %s', async (_, body) => {
  const response = { status: 403, headers: {}, body: Readable.from([body]) };
  expect(await failureOf('/api/v1/pods', response)).toMatchObject({
    status: 403,
    reason: 'Forbidden',
    said: 'pods is forbidden',
    remedy: "grant the worker's ServiceAccount get, list and watch on /api/v1/pods",
  });
});

test('what is no Status says what it is, and what cannot be read says nothing', async () => {
  const said = async (body: Buffer): Promise<string> =>
    (await failureOf('/api/v1/pods', { status: 502, headers: {}, body: Readable.from([body]) })).said;
  expect(await said(Buffer.from('<html>bad gateway'))).toBe('<html>bad gateway');
  expect(await said(Buffer.from('k8s\0\xff\xff\xff'))).toBe('');
});
