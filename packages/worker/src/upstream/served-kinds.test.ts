import { Readable } from 'node:stream';
import { PATIENCE_MS } from '@shard-controller/shared/testing';
import { expect, test } from 'vitest';
import { ServedKinds } from './served-kinds.ts';
import { UnknownKindFailure } from './upstream-failure.ts';

test('a kind is asked for once, and again when it may have become another', async () => {
  let kind = 'Widget';
  let asked = 0;
  const kinds = new ServedKinds({
    stream: async () => {
      asked++;
      const body = JSON.stringify({ resources: [{ name: 'widgets', kind, verbs: ['list', 'watch'] }] });
      return { status: 200, headers: { 'content-type': 'application/json' }, body: Readable.from([Buffer.from(body)]) };
    },
  });
  const find = () => kinds.find('example.com', 'v1', 'widgets', AbortSignal.timeout(PATIENCE_MS));
  expect(await find()).toEqual({ apiVersion: 'example.com/v1', kind: 'Widget' });
  kind = 'Gadget';
  expect([await find(), asked]).toMatchObject([{ kind: 'Widget' }, 1]);
  kinds.forget('example.com', 'v1', 'widgets');
  expect([await find(), asked]).toMatchObject([{ kind: 'Gadget' }, 2]);
});

test.each([
  ['storage.k8s.io', true],
  ['apps', true],
  ['snapshot.storage.k8s.io', false],
  ['example.com', false],
])('that a kind of %s is missing is final: %s', async (group, isFinal) => {
  const kinds = new ServedKinds({
    stream: async () => ({
      status: 200,
      headers: { 'content-type': 'application/json' },
      body: Readable.from([Buffer.from('{"resources":[]}')]),
    }),
  });
  const error: unknown = await kinds.find(group, 'v1', 'things', AbortSignal.timeout(5_000)).catch((e: unknown) => e);
  expect([error instanceof UnknownKindFailure, error]).toMatchObject([isFinal, { status: 404 }]);
});
