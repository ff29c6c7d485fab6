import { PassThrough } from 'node:stream';
import type { StreamResponse } from '@shard-controller/shared/kubernetes';
import { expect, test } from 'vitest';
import { SuccessorWatch } from './successor-watch.ts';

function successorOf() {
  const openings: PromiseWithResolvers<StreamResponse>[] = [];
  const successor = new SuccessorWatch(() => {
    const opening = Promise.withResolvers<StreamResponse>();
    openings.push(opening);
    return opening.promise;
  });
  const answer = (): StreamResponse => ({ status: 200, headers: {}, body: new PassThrough() });
  return { successor, openings, answer };
}

test('is opened once more when the scope changes meanwhile, and the first answer is discarded', async () => {
  const { successor, openings, answer } = successorOf();
  let ready = 0;
  successor.begin(() => ready++);
  successor.begin(() => ready++);
  const [first, second] = [answer(), answer()];
  openings[0]?.resolve(first);
  await expect.poll(() => openings.length).toBe(2);
  expect([ready, first.body.destroyed]).toEqual([0, true]);
  openings[1]?.resolve(second);
  expect(await successor.opening).toBe(second);
  expect([ready, openings.length, successor.isOutdated]).toEqual([1, 2, false]);
});

test('that fails to open is ready, and nothing', async () => {
  const { successor, openings } = successorOf();
  let isReady = false;
  successor.begin(() => (isReady = true));
  openings[0]?.reject(new Error('refused'));
  expect([await successor.opening, isReady]).toEqual([undefined, true]);
});

test('is outdated when the scope changes after it was opened, until it is taken', async () => {
  const { successor, openings, answer } = successorOf();
  successor.begin(() => {});
  openings[0]?.resolve(answer());
  await successor.opening;
  successor.begin(() => {});
  expect([successor.isOutdated, openings.length]).toEqual([true, 1]);
  successor.taken();
  expect(successor.opening).toBeUndefined();
});

test('that is dropped is discarded when it comes', async () => {
  const { successor, openings, answer } = successorOf();
  successor.begin(() => {});
  successor.drop();
  const late = answer();
  openings[0]?.resolve(late);
  await expect.poll(() => late.body.destroyed).toBe(true);
  expect(successor.opening).toBeUndefined();
});
