import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { jsonCodec, protobufCodec } from './frame-codec.ts';
import { FrameSplitter } from './frame-splitter.ts';
import { FrameView } from './frame-view.ts';
import { WireFormatError } from './protobuf/reader.ts';
import {
  jsonFrame,
  POD,
  protobufBookmark,
  protobufFrame,
  protobufObject,
  type TestObject,
  WIDGET,
} from './testing/wire.ts';

const object: fc.Arbitrary<TestObject> = fc.record({
  uid: fc.uuid(),
  name: fc.stringMatching(/^[a-z][a-z0-9-]{0,40}$/),
  namespace: fc.stringMatching(/^([a-z]{1,12})?$/),
  version: fc.integer({ min: 1, max: 2 ** 40 }).map(String),
  ballast: fc.integer({ min: 0, max: 3_000 }),
  labels: fc.dictionary(fc.stringMatching(/^[a-z]{1,8}$/), fc.string({ maxLength: 20 }), { maxKeys: 4 }),
});

const type = fc.constantFrom('ADDED', 'MODIFIED', 'DELETED');

/** Cuts `bytes` at the given fractions of its length. */
function chunks(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const ends = [...cuts.map((cut) => Math.floor(cut * bytes.length)), bytes.length].sort((a, b) => a - b);
  return ends.map((end, i) => bytes.subarray(i === 0 ? 0 : ends[i - 1], end));
}

describe('protobuf frames', () => {
  test('a deletion without a body has exactly the bytes that kube-apiserver would write', () => {
    const frame = protobufCodec.deleted(POD, { uid: 'u-1', namespace: 'ns', name: 'p' }, '77');
    const golden = [
      '00000034', // length
      '0a0744454c45544544', // type: DELETED
      '12290a27', // object, its raw bytes
      '6b387300', // k8s\0
      '0a090a0276311203506f64', // type meta: v1, Pod
      '12120a10', // the object, its metadata
      '0a0170', // name
      '1a026e73', // namespace
      '2a03752d31', // uid
      '32023737', // resourceVersion
      '1a002200', // content encoding and type: empty
    ];
    expect(frame.toString('hex')).toBe(golden.join(''));
  });

  test('any sequence of events is read the same wherever its chunks end', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(type, object), { minLength: 1, maxLength: 8 }),
        fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 20 }),
        fc.constantFrom('protobuf' as const, 'json' as const),
        (events, cuts, encoding) => {
          const codec = encoding === 'protobuf' ? protobufCodec : jsonCodec;
          const write = ([kind, each]: readonly [string, TestObject]): Buffer =>
            encoding === 'protobuf' ? protobufFrame(kind, protobufObject(each)) : jsonFrame(kind, each);
          const bytes = Buffer.concat(events.map(write));
          const splitter = new FrameSplitter(encoding);
          const view = new FrameView();
          const seen: unknown[] = [];
          const wire: Buffer[] = [];
          for (const chunk of chunks(bytes, cuts)) {
            splitter.push(chunk, (buffer, start, end, payloadStart, payloadEnd) => {
              codec.readFrame(buffer, payloadStart, payloadEnd, view);
              seen.push([view.type, view.uid(), view.namespace(), view.name(), view.resourceVersion()]);
              wire.push(Buffer.from(buffer.subarray(start, end)));
            });
          }
          expect(seen).toEqual(
            events.map(([kind, each]) => [kind, each.uid, each.namespace ?? '', each.name, each.version]),
          );
          expect(Buffer.concat(wire).equals(bytes)).toBe(true);
        },
      ),
      { numRuns: 200 },
    );
  });

  test('damaged bytes are an error, never a wrong object or an endless loop', () => {
    fc.assert(
      fc.property(object, fc.nat(), fc.integer({ min: 0, max: 255 }), (each, at, value) => {
        const frame = protobufFrame('ADDED', protobufObject({ ...each, ballast: 20 }));
        frame[4 + (at % (frame.length - 4))] = value;
        const view = new FrameView();
        const outcome = (): unknown => {
          try {
            protobufCodec.readFrame(frame, 4, frame.length, view);
            return view.uidEnd <= frame.length;
          } catch (error) {
            return error instanceof WireFormatError;
          }
        };
        expect(outcome()).toBe(true);
      }),
      { numRuns: 500 },
    );
  });

  test('the bookmark that closes a WatchList is told apart from any other', () => {
    const view = new FrameView();
    for (const isEnd of [true, false]) {
      for (const frame of [protobufBookmark('9', isEnd), protobufCodec.bookmark(POD, '9', isEnd)]) {
        protobufCodec.readWhole(frame, view);
        expect([view.type, view.resourceVersion(), view.initialEventsEnd]).toEqual(['BOOKMARK', '9', isEnd]);
      }
      const text = jsonCodec.bookmark(WIDGET, '9', isEnd);
      jsonCodec.readWhole(text, view);
      expect([view.type, view.resourceVersion(), view.initialEventsEnd]).toEqual(['BOOKMARK', '9', isEnd]);
    }
  });

  test('an error in the stream gives its code and reason', () => {
    const status = Buffer.concat([
      Buffer.from([0x0a, 0x00, 0x1a, 0x03]),
      Buffer.from('old'),
      Buffer.from([0x22, 0x07]),
      Buffer.from('Expired'),
      Buffer.from([0x30, 0x9a, 0x03]),
    ]);
    const view = new FrameView();
    protobufCodec.readWhole(protobufFrame('ERROR', status), view);
    expect(view.type).toBe('ERROR');
    expect(protobufCodec.readStatus(view)).toEqual({ code: 410, reason: 'Expired', message: 'old' });
    const text = '{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired","message":"old"}}\n';
    jsonCodec.readWhole(Buffer.from(text), view);
    expect(jsonCodec.readStatus(view)).toEqual({ code: 410, reason: 'Expired', message: 'old' });
  });

  test('an event type of the future is unknown, not mistaken for another', () => {
    const view = new FrameView();
    for (const name of ['ADDER!', 'SYNCING', 'MIDDLING', 'BOOKMARKS', 'ADDEX']) {
      protobufCodec.readWhole(protobufFrame(name, protobufObject({ uid: 'u', name: 'n', version: '1' })), view);
      expect([name, view.type]).toEqual([name, 'UNKNOWN']);
    }
  });
});

describe('lists', () => {
  test('a list that was written is read back, item by item', () => {
    const items: TestObject[] = [
      { uid: 'a', name: 'one', namespace: 'x', version: '5', ballast: 300 },
      { uid: 'b', name: 'two', version: '6' },
    ];
    for (const codec of [protobufCodec, jsonCodec]) {
      const objects = items.map((item) =>
        codec === protobufCodec ? protobufObject(item) : Buffer.from(jsonFrame('X', item).toString().slice(21, -2)),
      );
      const view = new FrameView();
      const seen: string[] = [];
      const page = codec.readList(codec.list(POD, '42', objects), view, () => {
        seen.push(`${view.uid()} ${view.namespace()} ${view.name()} ${view.resourceVersion()}`);
      });
      expect(seen).toEqual(['a x one 5', 'b  two 6']);
      expect(page).toMatchObject({ resourceVersion: '42', continueToken: '' });
    }
  });

  test('resourceVersion, continue token and remaining count of a page are found', () => {
    // ListMeta: resourceVersion=2, continue=3, remainingItemCount=4.
    const meta = Buffer.from([0x0a, 0x00, 0x12, 0x02, 0x34, 0x32, 0x1a, 0x03, 0x61, 0x62, 0x63, 0x20, 0xac, 0x02]);
    const message = Buffer.concat([Buffer.from([0x0a, meta.length]), meta]);
    const body = Buffer.concat([
      Buffer.from('k8s\0'),
      Buffer.from([0x0a, 0x00, 0x12, message.length]),
      message,
      Buffer.from([0x1a, 0x00, 0x22, 0x00]),
    ]);
    const page = protobufCodec.readList(body, new FrameView(), () => {});
    expect(page).toEqual({ resourceVersion: '42', continueToken: 'abc', remaining: 300 });
  });
});

test('an item of a typed JSON list, which says no kind, becomes an event of its kind', () => {
  const item = Buffer.from('{"metadata":{"uid":"u"},"spec":{"kind":"Other"}}');
  const parsed: unknown = JSON.parse(jsonCodec.event('ADDED', WIDGET, item).toString());
  expect(parsed).toMatchObject({ type: 'ADDED', object: { ...WIDGET, metadata: { uid: 'u' } } });
  const whole = Buffer.from('{"spec":{},"kind":"Widget","apiVersion":"example.com/v1"}');
  expect(jsonCodec.event('MODIFIED', WIDGET, whole).toString()).toBe(`{"type":"MODIFIED","object":${String(whole)}}\n`);
});
