import { describe, expect, test } from 'vitest';
import { jsonCodec } from '../../wire/frame-codec.ts';
import { FrameView } from '../../wire/frame-view.ts';
import { crdSlots } from './crd-slots.ts';

interface Crd {
  readonly kind?: string;
  readonly plural?: string;
  readonly group?: string;
  readonly established?: boolean;
  readonly versions?: readonly { readonly name: string; readonly served?: boolean }[];
  readonly annotations?: Readonly<Record<string, string>>;
}

function viewOf(crd: Crd): FrameView {
  const { kind = 'Foo', plural = 'foos', group = 'g.example.com', established = true, annotations = {} } = crd;
  const object = {
    metadata: { name: `${plural}.${group}`, uid: 'u', resourceVersion: '1', annotations },
    spec: { group, names: { kind, plural }, versions: crd.versions ?? [{ name: 'v1', served: true }] },
    status: { conditions: [{ type: 'Established', status: established ? 'True' : 'False' }] },
  };
  return viewOfObject(object);
}

function viewOfObject(object: unknown): FrameView {
  const view = new FrameView();
  const frame = jsonCodec.event('MODIFIED', { apiVersion: 'v1', kind: 'x' }, Buffer.from(JSON.stringify(object)));
  jsonCodec.readWhole(frame, view);
  return view;
}

const FOOS = [{ group: 'g.example.com', kind: 'Foo' }];
const [QUIET, SHOWN] = [0, 1];

describe('which CRDs are shown to change', () => {
  const { slotHash } = crdSlots([...FOOS, { group: 'all.example.com', kind: '*' }]);
  test.each([
    ['of the named kind', {}, SHOWN],
    ['of another kind of the same group', { kind: 'Bar', plural: 'bars' }, QUIET],
    ['of the same kind of another group', { group: 'other.example.com' }, QUIET],
    ['of a group whose name ends alike', { group: 'x.g.example.com' }, QUIET],
    ['of any kind of a group that is named with *', { group: 'all.example.com', kind: 'Any', plural: 'anys' }, SHOWN],
  ])('one %s', (_what, crd, slot) => {
    expect(slotHash(viewOf(crd))).toBe(slot);
  });

  test('one of which only metadata is at hand, when its group is named: the whole object decides', () => {
    expect(slotHash(viewOfObject({ metadata: { name: 'bars.g.example.com', uid: 'u' } }))).toBe(SHOWN);
    expect(slotHash(viewOfObject({ metadata: { name: 'bars.other.example.com', uid: 'u' } }))).toBe(QUIET);
  });
});

describe('what of a CRD is news', () => {
  test.each<readonly [string, Crd, string]>([
    ['an annotation', { annotations: { a: 'b' } }, 'dedupe'],
    ['a version that is not served', { versions: [{ name: 'v1' }, { name: 'v2', served: false }] }, 'dedupe'],
    [
      'one more served version',
      {
        versions: [
          { name: 'v1', served: true },
          { name: 'v2', served: true },
        ],
      },
      'forward',
    ],
    ['a version that is served no more', { versions: [{ name: 'v1', served: false }] }, 'forward'],
    ['another plural', { plural: 'fooes' }, 'forward'],
  ])('%s', (_what, changed, expected) => {
    const { eventFilter } = crdSlots(FOOS);
    const entry = {};
    expect(eventFilter?.(entry, viewOf({}))).toBe('forward');
    expect(eventFilter?.(entry, viewOf({}))).toBe('dedupe');
    expect(eventFilter?.(entry, viewOf(changed))).toBe(expected);
    expect(eventFilter?.(entry, viewOf(changed))).toBe('dedupe');
  });

  test('nothing until the API server serves the kind', () => {
    const { eventFilter } = crdSlots(FOOS);
    const entry = {};
    expect(eventFilter?.(entry, viewOf({ established: false }))).toBe('suppress');
    expect(eventFilter?.(entry, viewOf({}))).toBe('forward');
  });

  test('each object is news of its own', () => {
    const { eventFilter } = crdSlots(FOOS);
    expect(eventFilter?.({}, viewOf({}))).toBe('forward');
    expect(eventFilter?.({}, viewOf({}))).toBe('forward');
  });
});
