import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { WireEncoding } from '../wire/frame-view.ts';
import { protobufList, protobufObject } from '../wire/testing/wire.ts';
import { listFilter } from './list-filter.ts';
import type { ListMetadata } from './list-item.ts';

interface Filtered {
  readonly body: Buffer;
  readonly seen: readonly string[];
  readonly found: ListMetadata;
}

/** Puts `body` through the filter in pieces of the given lengths; keeps uids that start with `keep`. */
function filter(
  encoding: WireEncoding,
  body: Buffer,
  pieces: readonly number[],
  options: { readonly keepsCount?: boolean; readonly leavesObjectsOut?: boolean } = {},
): Filtered {
  const seen: string[] = [];
  const found: ListMetadata = { resourceVersion: '', continueToken: '' };
  const list = listFilter(
    { encoding, leavesObjectsOut: options.leavesObjectsOut ?? false },
    (view) => {
      seen.push(view.uid());
      return view.uid().startsWith('keep');
    },
    found,
    options.keepsCount ?? false,
  );
  const out: Buffer[] = [];
  let at = 0;
  for (let i = 0; at < body.length; i++) {
    const size = pieces[i % Math.max(1, pieces.length)] ?? body.length;
    out.push(...list.push(body.subarray(at, at + size)));
    at += size;
  }
  out.push(...list.end());
  return { body: Buffer.concat(out), seen, found };
}

const pieces = fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 20 });
const uid = fc.oneof(
  fc.uuid().map((id) => `keep-${id}`),
  fc.uuid(),
);
const object = fc.record({
  // Text that looks like the end of everything, in keys and values.
  kind: fc.constantFrom('Pod', '"]}', '\\"items":['),
  metadata: fc.record({ name: fc.string(), uid, resourceVersion: fc.nat().map(String) }),
  spec: fc.jsonValue(),
});

describe('a JSON list', () => {
  test('loses exactly the items that are not kept, wherever its pieces end', () => {
    fc.assert(
      fc.property(
        fc.array(object, { maxLength: 8 }),
        pieces,
        fc.boolean(),
        fc.constantFrom(undefined, 2),
        (items, cut, last, indent) => {
          const metadata = { resourceVersion: '7', continue: 'next"\\', remainingItemCount: 12 };
          const rest = { kind: 'PodList', apiVersion: 'v1', 'a"\\b': [{ uid: 1 }] };
          // Custom resources come with their keys sorted: the metadata behind the items.
          const list = last ? { ...rest, items, metadata } : { ...rest, metadata, items };
          const { body, found, seen } = filter('json', Buffer.from(JSON.stringify(list, undefined, indent)), cut);
          const kept = items.filter((item) => item.metadata.uid.startsWith('keep'));
          const { remainingItemCount: _, ...left } = metadata;
          expect(JSON.parse(body.toString())).toEqual(
            JSON.parse(JSON.stringify({ ...rest, metadata: left, items: kept })),
          );
          expect(seen).toEqual(items.map((item) => item.metadata.uid));
          expect(found.resourceVersion).toBe('7');
        },
      ),
    );
  });

  test('leaves numbers and spelling of what it keeps alone', () => {
    const item = '{"metadata":{"uid":"keep"},"n":12345678901234567890,"t":"\\u00e9"}';
    const { body } = filter('json', Buffer.from(`{"items":[{"metadata":{"uid":"x"}}, ${item}],"metadata":{}}`), [1]);
    expect(body.toString()).toContain(item);
  });

  test.each(['null', '[]'])('without items (%s) is passed on', (items) => {
    const text = `{"kind":"PodList","metadata":{"resourceVersion":"1"},"items":${items}}\n`;
    expect(filter('json', Buffer.from(text), [3]).body.toString()).toBe(text);
  });

  test('says how many remain when nothing is left out', () => {
    const text = '{"metadata":{"resourceVersion":"1","remainingItemCount":4},"items":[]}';
    expect(filter('json', Buffer.from(text), [9], { keepsCount: true }).body.toString()).toBe(text);
  });

  test('that ends early is an error, not a shorter list', () => {
    const text = '{"metadata":{},"items":[{"metadata":{"uid":"keep"}},';
    expect(() => filter('json', Buffer.from(text), [9])).toThrow(/ends early/);
  });
});

describe('a table', () => {
  const row = (name: string, id: string): unknown => ({
    cells: [name, '"rows":['],
    object: { metadata: { name, uid: id } },
  });
  const table = { kind: 'Table', metadata: { resourceVersion: '3' }, columnDefinitions: [{ name: 'Name' }] };
  const text = Buffer.from(JSON.stringify({ ...table, rows: [row('a', 'keep-1'), row('b', 'x'), row('c', 'keep-2')] }));

  test('loses the rows of other objects', () => {
    expect(JSON.parse(filter('json', text, [5]).body.toString())).toEqual({
      ...table,
      rows: [row('a', 'keep-1'), row('c', 'keep-2')],
    });
  });

  test('goes without objects to who asked for none', () => {
    const { rows } = JSON.parse(filter('json', text, [64], { leavesObjectsOut: true }).body.toString());
    expect(rows).toEqual([
      { cells: ['a', '"rows":['], object: null },
      { cells: ['c', '"rows":['], object: null },
    ]);
  });
});

describe('a protobuf list', () => {
  const of = (uids: readonly string[]): Uint8Array[] =>
    uids.map((id) => protobufObject({ uid: id, name: 'n', namespace: 'ns', version: '5', ballast: 300 }));

  test('loses exactly the items that are not kept, wherever its pieces end', () => {
    fc.assert(
      fc.property(fc.array(uid, { maxLength: 12 }), pieces, fc.nat(3), (uids, cut, remaining) => {
        const { body, seen, found } = filter('protobuf', protobufList('77', of(uids), remaining), cut);
        // Without the count of what remains, a list of the kept alone is the same bytes.
        const expected = protobufList('77', of(uids.filter((id) => id.startsWith('keep'))), remaining);
        const count = remaining > 0 ? 2 : 0;
        expect(body.length).toBe(expected.length - count);
        expect(filter('protobuf', body, [1_000_000]).seen).toEqual(uids.filter((id) => id.startsWith('keep')));
        expect(seen).toEqual(uids);
        expect(found).toEqual({ resourceVersion: '77', continueToken: remaining > 0 ? 'more' : '' });
      }),
    );
  });

  test('is the same bytes when everything is kept', () => {
    const body = protobufList('77', of(['keep-1', 'keep-2']), 3);
    expect(filter('protobuf', body, [13], { keepsCount: true }).body.equals(body)).toBe(true);
  });

  test('KSM #3007: what is not kept is not held', () => {
    const found: ListMetadata = { resourceVersion: '', continueToken: '' };
    const list = listFilter({ encoding: 'protobuf', leavesObjectsOut: false }, () => false, found, false);
    const body = protobufList('1', of(Array.from({ length: 50_000 }, (_, i) => `u-${i}`)));
    globalThis.gc?.();
    const before = process.memoryUsage().arrayBuffers;
    for (let at = 0; at < body.length; at += 65_536) list.push(body.subarray(at, at + 65_536));
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(body.length / 2 + 16e6);
    expect(Buffer.concat(list.end()).length).toBeLessThan(100);
  });

  test('that ends early is an error, not a shorter list', () => {
    const body = protobufList('1', of(['keep']));
    expect(() => filter('protobuf', body.subarray(0, -60), [50])).toThrow(/ends early/);
  });
});
