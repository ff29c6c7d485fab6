import { expect, test } from 'vitest';
import { ListCollector } from './list-collector.ts';
import { read, view } from './testing/pod-feed.ts';

test('gives each object that is still there once', () => {
  let listed: readonly [number, string] | undefined;
  const list = new ListCollector(undefined, (objects, version) => (listed = [objects.length, version]));
  for (const [at, uid] of ['a', 'b', 'c', 'a'].entries()) {
    read('ADDED', uid, String(at + 1));
    list.upsert(uid, view);
  }
  list.remove('b');
  list.delete({ uid: 'c', namespace: 'ns', name: 'c' });
  list.bookmark();
  list.finish('4');
  expect(listed).toEqual([1, '4']);
});
