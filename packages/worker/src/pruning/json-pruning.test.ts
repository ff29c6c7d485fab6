import { fnv1a64, slotOf } from '@shard-controller/shared/hashing';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { slotHashOf } from '../slots/slot-hash.ts';
import { jsonCodec } from '../wire/frame-codec.ts';
import { FrameView } from '../wire/frame-view.ts';
import { WireFormatError } from '../wire/protobuf/reader.ts';
import { AnnotationFilter } from './annotation-filter.ts';
import { Pruner } from './pruner.ts';
import { type JsonValue, type Members, randomOf, writeJson } from './testing/json-text.ts';

const text = fc.string({ unit: 'binary', maxLength: 10 });
const words = [
  'metadata',
  'object',
  'type',
  'uid',
  'name',
  'annotations',
  'managedFields',
  'data',
  '}{"[]\\',
  '',
  'é𝄞',
];
/** `__proto__` would not be a member of what JSON.parse returns. */
const key = fc.oneof(
  fc.constantFrom(...words),
  text.filter((each) => each !== '__proto__'),
);

const { value } = fc.letrec<{ value: JsonValue }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.oneof(text, fc.constantFrom(...words), fc.integer(), fc.double({ noNaN: true }), fc.boolean()),
    fc.constant(null),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.record({ members: fc.array(fc.tuple(key, tie('value')), { maxLength: 4 }) }),
  ),
}));

const member = (name: string, inner: fc.Arbitrary<JsonValue>): fc.Arbitrary<readonly [key: string, value: JsonValue]> =>
  inner.map((each) => [name, each] as const);

const annotations = fc.oneof(
  { weight: 8, arbitrary: fc.array(fc.tuple(fc.constantFrom('kept', 'a', 'example.com/x', 'ü'), text)) },
  { weight: 1, arbitrary: fc.array(fc.tuple(key, value)) },
);

const metadata = fc.array(
  fc.oneof(
    member('uid', fc.oneof(fc.uuid(), text)),
    member('name', text),
    member('namespace', text),
    member('resourceVersion', fc.nat().map(String)),
    member('managedFields', value),
    member(
      'annotations',
      annotations.map((members) => ({ members })),
    ),
    member('annotations', value),
    fc.tuple(key, value),
  ),
  { maxLength: 9 },
);

const object: fc.Arbitrary<Members> = fc.array(
  fc.oneof(
    member('apiVersion', text),
    member('data', value),
    {
      weight: 3,
      arbitrary: member(
        'metadata',
        metadata.map((members) => ({ members })),
      ),
    },
    fc.tuple(key, value),
  ),
  { maxLength: 7 },
);

const frame = fc
  .tuple(
    fc.constantFrom('ADDED', 'MODIFIED', 'DELETED'),
    object,
    fc.array(fc.tuple(key, value), { maxLength: 1 }),
    fc.integer(),
  )
  .map(([type, members, more, seed]) => {
    const rest = more.filter(([name]) => name !== 'object' && name !== 'type');
    return Buffer.from(writeJson({ members: [['type', type], ['object', { members }], ...rest] }, randomOf(seed)));
  });

function read(bytes: Buffer): FrameView {
  const view = new FrameView();
  jsonCodec.readFrame(bytes, 0, bytes.length, view);
  return view;
}

type Parsed = Record<string, unknown>;

/** An object of JSON; empty for anything else. */
const parsed = (each: unknown): Parsed =>
  typeof each === 'object' && each !== null && !Array.isArray(each) ? { ...each } : {};
const textOf = (each: unknown): string => (typeof each === 'string' ? each : '');

function prunerOf(keys: readonly string[] | undefined, dataKeys: readonly string[]): Pruner {
  const filter = keys === undefined ? undefined : new AnnotationFilter(keys);
  const rules = { annotations: filter, dataFields: [], dataKeys: dataKeys.map((each) => Buffer.from(each)) };
  return new Pruner(rules, { apiVersion: 'v1', kind: 'Any' }, 'json');
}

/** The object as it should be after pruning. */
function leaner(whole: Parsed, keys: readonly string[] | undefined, dataKeys: readonly string[]): Parsed {
  const result = Object.fromEntries(Object.entries(whole).filter(([name]) => !dataKeys.includes(name)));
  const meta = parsed(whole['metadata']);
  if (Object.keys(meta).length === 0) return result;
  delete meta['managedFields'];
  if (keys?.length === 0) delete meta['annotations'];
  const all = meta['annotations'];
  if (keys !== undefined && typeof all === 'object' && all !== null && !Array.isArray(all)) {
    meta['annotations'] = Object.fromEntries(Object.entries(all).filter(([name]) => keys.includes(name)));
  }
  return { ...result, metadata: meta };
}

// Hundreds of samples each: a loaded machine takes its time.
describe('JSON watch frames, against JSON.parse', () => {
  test('the walker finds what the parser finds, whatever is nested, escaped or doubled', () => {
    fc.assert(
      fc.property(frame, (bytes) => {
        const view = read(bytes);
        const event = parsed(JSON.parse(bytes.toString()));
        const meta = parsed(parsed(event['object'])['metadata']);
        expect([view.type, view.uid(), view.name(), view.namespace(), view.resourceVersion()]).toEqual([
          event['type'],
          ...[meta['uid'], meta['name'], meta['namespace'], meta['resourceVersion']].map(textOf),
        ]);
        expect(JSON.parse(bytes.toString('utf8', view.objectStart, view.objectEnd))).toEqual(event['object']);
        expect(slotHashOf('uid', 256)(view)).toBe(slotOf(fnv1a64(textOf(meta['uid'])).high, 256));
      }),
      { numRuns: 300 },
    );
  });

  test('the items of a list are found like the objects of events', () => {
    fc.assert(
      fc.property(fc.array(object, { maxLength: 4 }), text, fc.integer(), (items, token, seed) => {
        const meta: Members = [
          ['resourceVersion', '77'],
          ['continue', token],
        ];
        const list: Members = [
          ['kind', 'List'],
          ['items', items.map((members) => ({ members }))],
          ['metadata', { members: meta }],
        ];
        const body = Buffer.from(writeJson({ members: list }, randomOf(seed)));
        const view = new FrameView();
        const found: unknown[] = [];
        const page = jsonCodec.readList(body, view, () => {
          found.push([view.uid(), JSON.parse(body.toString('utf8', view.objectStart, view.objectEnd))]);
          // As a loader does, which reads another frame for each.
          read(Buffer.from('{"type":"ADDED","object":{}}'));
        });
        const expected: unknown = parsed(JSON.parse(body.toString()))['items'];
        const uid = (each: unknown): string => textOf(parsed(parsed(each)['metadata'])['uid']);
        expect(found).toEqual(Array.isArray(expected) ? expected.map((each: unknown) => [uid(each), each]) : []);
        expect(page).toMatchObject({ resourceVersion: '77', continueToken: token });
      }),
    );
  });

  test('pruning leaves out what it should, and nothing else', () => {
    fc.assert(
      fc.property(
        frame,
        fc.constantFrom(undefined, [], ['kept'], ['kept', 'ü']),
        fc.constantFrom([], ['data', 'binaryData']),
        (bytes, keys, dataKeys) => {
          const view = read(bytes);
          const pruner = prunerOf(keys, dataKeys);
          const whole = bytes.toString('utf8', view.objectStart, view.objectEnd);
          const expected = leaner(parsed(JSON.parse(whole)), keys, dataKeys);
          const head = '{"type":"MODIFIED","object":';
          const pruned = pruner.event('MODIFIED', view)?.toString() ?? `${head}${whole}}\n`;
          expect(JSON.parse(pruned)).toEqual({ type: 'MODIFIED', object: expected });
          expect(pruned).toMatch(/\n$/);
          expect(pruner.object(view)?.toString() ?? whole).toBe(pruned.slice(head.length, -2));
          // Twice: as an event, and as an object.
          const less = Buffer.byteLength(whole) - Buffer.byteLength(pruned.slice(head.length, -2));
          expect(pruner.prunedBytes).toBe(2 * less);
        },
      ),
      { numRuns: 300 },
    );
  });

  test('numbers that JavaScript cannot hold pass as they are', () => {
    const spec = '"spec":{"a":12345678901234567890,"b":1.10,"c":1e400}';
    const bytes = Buffer.from(
      `{"type":"ADDED","object":{"metadata":{"managedFields":[{}],"name":"x","uid":"u"},${spec}}}`,
    );
    expect(prunerOf(undefined, []).event('ADDED', read(bytes))?.toString()).toBe(
      `{"type":"ADDED","object":{"metadata":{"name":"x","uid":"u"},${spec}}}\n`,
    );
  });

  test('bytes that were changed or cut off are read in their bounds, or refused with the coded error', () => {
    let refused = 0;
    let found = 0;
    const change = fc.tuple(fc.nat(), fc.constantFrom(...Buffer.from('"\\{}[],:a0 \xff')));
    fc.assert(
      fc.property(frame, fc.array(change, { maxLength: 3 }), fc.nat(), (whole, changes, kept) => {
        const bytes = Buffer.from(whole);
        for (const [where, byte] of changes) bytes[where % bytes.length] = byte;
        const length = changes.length === 0 ? kept % bytes.length : bytes.length;
        const outcome = (padding: string): string => {
          const around = Buffer.alloc(length + 40, padding);
          bytes.copy(around, 20, 0, length);
          const view = new FrameView();
          try {
            jsonCodec.readFrame(around, 20, 20 + length, view);
            const ends = [view.objectEnd, view.uidEnd, view.nameEnd, view.metadataEnd];
            if (Math.max(...ends) > 20 + length) throw new Error('it read on behind the frame');
            const pruned = prunerOf(['kept'], ['data']).event('ADDED', view);
            return [view.type, view.uid(), view.name(), pruned?.toString('hex')].join();
          } catch (error) {
            if (!(error instanceof WireFormatError)) throw error;
            return error.message;
          }
        };
        const said = outcome('"');
        for (const padding of ['}', ']', ':', ',', ' ']) expect(outcome(padding)).toBe(said);
        if (said.includes('cannot be decoded')) refused++;
        else found++;
      }),
      { numRuns: 250 },
    );
    expect(Math.min(refused, found)).toBeGreaterThan(20);
  });
});
