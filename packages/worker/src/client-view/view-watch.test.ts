import { PassThrough } from 'node:stream';
import { until } from '@shard-controller/shared/testing';
import { expect, test } from 'vitest';
import { Exposure } from '../slots/exposure.ts';
import { slotHashOf } from '../slots/slot-hash.ts';
import { protobufCodec } from '../wire/frame-codec.ts';
import { POD, protobufFrame, protobufObject } from '../wire/testing/wire.ts';
import { ViewEvents } from './view-events.ts';
import { ViewWatch } from './view-watch.ts';

const SLOTS = 64;
const showing = (from: number, to: number): Exposure =>
  new Exposure(slotHashOf('uid', SLOTS), new Uint8Array(SLOTS).fill(1, from, to));

test('a move that comes while the last one waits for its client is not forgotten', async () => {
  const body = new PassThrough();
  const sink = new PassThrough({ highWaterMark: 1 });
  const lists: PromiseWithResolvers<string>[] = [];
  const watch = new ViewWatch({
    answer: { status: 200, headers: {}, body },
    sink,
    events: new ViewEvents(protobufCodec, POD, false),
    held: showing(0, SLOTS),
    position: '100',
    wantsBookmarks: false,
    wantsInitialEvents: false,
    listAll: () => {
      const list = Promise.withResolvers<string>();
      lists.push(list);
      return list.promise;
    },
    onTorn: () => {},
    onUnknown: () => {},
    signal: new AbortController().signal,
  });
  const running = watch.run();
  watch.show(showing(1, SLOTS));
  await until(() => lists.length === 1);
  const frame = protobufFrame('ADDED', protobufObject({ uid: 'uid-1', name: 'a', namespace: 'ns', version: '102' }));
  body.write(frame);
  await until(() => body.readableLength === 0);
  await new Promise((resolve) => setImmediate(resolve));
  lists[0]?.resolve('101');
  await until(() => sink.writableNeedDrain);
  watch.show(showing(2, SLOTS));
  sink.resume();
  await until(() => lists.length === 2);
  lists[1]?.resolve('103');
  body.end();
  await running;
  expect(sink.writableEnded).toBe(true);
});
