import { fnv1a64, slotOf } from '@shard-controller/shared/hashing';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { slotHashOf } from '../slots/slot-hash.ts';
import { protobufCodec } from '../wire/frame-codec.ts';
import { FrameView } from '../wire/frame-view.ts';
import { WireFormatError } from '../wire/protobuf/reader.ts';
import { AnnotationFilter } from './annotation-filter.ts';
import { Pruner } from './pruner.ts';
import { decodeFrame, encodeFrame, encodeObject, type Fields, type SchemaKind } from './testing/kubernetes-schema.ts';

const text = fc.string({ unit: 'binary', maxLength: 12 });
const bytes = fc.uint8Array({ maxLength: 300 });
/** `__proto__` cannot be set as a key of a plain object. */
const key = fc.oneof(
  fc.constantFrom('kept', 'other', 'example.com/a', 'example.com/b', ''),
  text.filter((each) => each !== '__proto__'),
);
const texts = fc.dictionary(key, text, { maxKeys: 5 });
const present = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(value, { nil: undefined });

const managedFields = fc.record({
  manager: text,
  operation: fc.constantFrom('Apply', 'Update'),
  time: fc.record({ seconds: fc.integer() }),
  fieldsType: fc.constant('FieldsV1'),
  fieldsV1: fc.record({ Raw: bytes }),
});

const metadata = fc.record({
  name: text,
  generateName: present(text),
  namespace: present(text),
  selfLink: fc.constant(''),
  uid: fc.oneof(fc.uuid(), text),
  resourceVersion: fc.nat().map(String),
  generation: present(fc.nat()),
  creationTimestamp: present(fc.record({ seconds: fc.nat(), nanos: fc.nat() })),
  labels: texts,
  annotations: texts,
  ownerReferences: fc.array(fc.record({ kind: text, name: text, uid: text }), { maxLength: 2 }),
  finalizers: fc.array(text, { maxLength: 2 }),
  managedFields: fc.array(managedFields, { maxLength: 3 }),
  newNumber: present(fc.nat()),
  newSmallNumber: present(fc.nat()),
  newText: present(bytes),
});

interface Sample {
  readonly kind: SchemaKind;
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly fields: Fields & { readonly metadata: Fields };
}

const body: Readonly<Record<SchemaKind, fc.Arbitrary<Fields>>> = {
  Pod: fc.record({ spec: bytes, status: present(bytes), newPart: present(bytes) }),
  Secret: fc.record({
    data: fc.dictionary(key, bytes, { maxKeys: 3 }),
    type: text,
    stringData: texts,
    immutable: present(fc.boolean()),
    newPart: present(bytes),
  }),
  ConfigMap: fc.record({
    data: texts,
    binaryData: fc.dictionary(key, bytes, { maxKeys: 3 }),
    immutable: present(fc.boolean()),
    newPart: present(bytes),
  }),
};

/** proto2 writes what is set: an absent field must not be there at all. */
const withoutAbsent = (fields: Fields): Fields =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));

const sample: fc.Arbitrary<Sample> = fc
  .tuple(
    fc.constantFrom<SchemaKind>('Pod', 'Secret', 'ConfigMap'),
    fc.constantFrom<Sample['type']>('ADDED', 'MODIFIED', 'DELETED'),
    metadata,
  )
  .chain(([kind, type, meta]) =>
    body[kind].map((rest) => ({
      kind,
      type,
      fields: { metadata: withoutAbsent(meta), ...withoutAbsent(rest) },
    })),
  );

const DATA: Readonly<Record<SchemaKind, { readonly fields: number[]; readonly names: string[] }>> = {
  Pod: { fields: [], names: [] },
  Secret: { fields: [2, 4], names: ['data', 'stringData'] },
  ConfigMap: { fields: [2, 3], names: ['data', 'binaryData'] },
};

/** Allow-lists, with what they mean. */
const allowList = fc.constantFrom(
  { keys: undefined, keeps: () => true },
  { keys: [], keeps: () => false },
  { keys: ['kept'], keeps: (each: string) => each === 'kept' },
  { keys: ['example.com/*', ''], keeps: (each: string) => each === '' || each.startsWith('example.com/') },
  { keys: ['*/a', 'o*r'], keeps: (each: string) => each.endsWith('/a') || /^o[^]*r$/.test(each) },
);

const frameOf = ({ kind, type, fields }: Sample): Buffer => encodeFrame(type, kind, encodeObject(kind, fields));

function prunerOf(kind: SchemaKind, keys: readonly string[] | undefined): Pruner {
  const annotations = keys === undefined ? undefined : new AnnotationFilter(keys);
  const rules = { annotations, dataFields: DATA[kind].fields, dataKeys: [] };
  return new Pruner(rules, { apiVersion: 'v1', kind }, 'protobuf');
}

/** The object as it should be: without managedFields, data, and annotations that are not kept. */
function leaner({ kind, fields }: Sample, keeps: (key: string) => boolean): Fields {
  const { managedFields: _, annotations, ...meta } = fields.metadata;
  const kept = Object.entries(annotations ?? {}).filter(([name]) => keeps(name));
  const rest = Object.entries(fields).filter(([name]) => !DATA[kind].names.includes(name));
  return { ...Object.fromEntries(rest), metadata: { ...meta, annotations: Object.fromEntries(kept) } };
}

// Hundreds of samples each: a loaded machine takes its time.
describe('protobuf watch frames, against a real decoder', () => {
  test('the walker finds what the decoder finds', () => {
    fc.assert(
      fc.property(sample, (each) => {
        const frame = frameOf(each);
        const view = new FrameView();
        protobufCodec.readWhole(frame, view);
        const { type, object } = decodeFrame(frame);
        const { name, namespace = '', uid, resourceVersion } = Object(object['metadata']);
        expect([view.type, view.name(), view.namespace(), view.uid(), view.resourceVersion()]).toEqual([
          type,
          name,
          namespace,
          uid,
          resourceVersion,
        ]);
        expect(slotHashOf('uid', 256)(view)).toBe(slotOf(fnv1a64(uid).high, 256));
        expect(slotHashOf('namespace', 64)(view)).toBe(slotOf(fnv1a64(namespace).high, 64));
      }),
    );
  });

  test('pruning leaves out what it should, and changes no other byte', () => {
    fc.assert(
      fc.property(sample, allowList, (each, { keys, keeps }) => {
        const frame = frameOf(each);
        const view = new FrameView();
        protobufCodec.readWhole(frame, view);
        const pruner = prunerOf(each.kind, keys);
        const expected = encodeObject(each.kind, leaner(each, keeps));
        const object = view.bytes.subarray(view.objectStart, view.objectEnd);
        const pruned = pruner.event('ADDED', view);
        expect(pruned === undefined).toBe(expected.length === object.length);
        const sent = pruned ?? encodeFrame('ADDED', each.kind, object);
        expect(sent.toString('hex')).toBe(encodeFrame('ADDED', each.kind, expected).toString('hex'));
        expect((pruner.object(view) ?? object).toString('hex')).toBe(expected.toString('hex'));
        expect(decodeFrame(sent).object).toEqual(decodeFrame(encodeFrame('ADDED', each.kind, expected)).object);
        // Twice: as an event, and as an object.
        const lessMetadataLength = object.length - expected.length - pruner.prunedBytes / 2;
        expect(lessMetadataLength).toBeGreaterThanOrEqual(0);
        expect(lessMetadataLength).toBeLessThan(5);
      }),
    );
  });

  test('bytes that were changed or cut off are read in their bounds, or refused with the coded error', () => {
    let refused = 0;
    let read = 0;
    const change = fc.tuple(fc.nat(), fc.nat(255));
    fc.assert(
      fc.property(sample, fc.array(change, { maxLength: 4 }), fc.nat(), (each, changes, kept) => {
        const frame = frameOf(each);
        for (const [where, value] of changes) frame[where % frame.length] = value;
        const length = changes.length === 0 ? kept % frame.length : frame.length;
        const outcome = (padding: number): string => {
          const around = Buffer.alloc(length + 40, padding);
          frame.copy(around, 20, 0, length);
          const view = new FrameView();
          try {
            protobufCodec.readFrame(around, Math.min(24, 20 + length), 20 + length, view);
            const ends = [view.objectEnd, view.uidEnd, view.nameEnd, view.metadataEnd];
            if (Math.max(...ends) > 20 + length) throw new Error('it read on behind the frame');
            const pruned = prunerOf(each.kind, ['kept']).event('ADDED', view);
            return [view.type, view.uid(), view.name(), pruned?.toString('hex')].join();
          } catch (error) {
            if (!(error instanceof WireFormatError)) throw error;
            return error.message;
          }
        };
        const said = outcome(0);
        // What lies around a frame in its buffer changes nothing.
        expect(outcome(0xff)).toBe(said);
        expect(outcome(0x0a)).toBe(said);
        if (said.includes('cannot be decoded')) refused++;
        else read++;
      }),
      { numRuns: 250 },
    );
    expect(Math.min(refused, read)).toBeGreaterThan(20);
  });
});
