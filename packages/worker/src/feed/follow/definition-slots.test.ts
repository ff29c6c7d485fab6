import { describe, expect, test } from 'vitest';
import { jsonCodec } from '../../wire/frame-codec.ts';
import { FrameView } from '../../wire/frame-view.ts';
import { definitionSlots } from './definition-slots.ts';

interface Definition {
  readonly kind?: string;
  readonly plural?: string;
  readonly group?: string;
  readonly established?: boolean;
  readonly versions?: readonly { readonly name: string; readonly served?: boolean }[];
  readonly annotations?: Readonly<Record<string, string>>;
}

function viewOf(definition: Definition): FrameView {
  const { kind = 'Foo', plural = 'foos', group = 'g.example.com', established = true, annotations = {} } = definition;
  const object = {
    metadata: { name: `${plural}.${group}`, uid: 'u', resourceVersion: '1', annotations },
    spec: { group, names: { kind, plural }, versions: definition.versions ?? [{ name: 'v1', served: true }] },
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

describe('which definitions are shown to change', () => {
  const { slotHash } = definitionSlots([...FOOS, { group: 'all.example.com', kind: '*' }]);
  test.each([
    ['of the named kind', {}, SHOWN],
    ['of another kind of the same group', { kind: 'Bar', plural: 'bars' }, QUIET],
    ['of the same kind of another group', { group: 'other.example.com' }, QUIET],
    ['of a group whose name ends alike', { group: 'x.g.example.com' }, QUIET],
    ['of any kind of a group that is named with *', { group: 'all.example.com', kind: 'Any', plural: 'anys' }, SHOWN],
  ])('one %s', (_what, definition, slot) => {
    expect(slotHash(viewOf(definition))).toBe(slot);
  });

  test('one of which only metadata is at hand, when its group is named: the whole object decides', () => {
    expect(slotHash(viewOfObject({ metadata: { name: 'bars.g.example.com', uid: 'u' } }))).toBe(SHOWN);
    expect(slotHash(viewOfObject({ metadata: { name: 'bars.other.example.com', uid: 'u' } }))).toBe(QUIET);
  });
});

describe('what of a definition is news', () => {
  test.each<readonly [string, Definition, string]>([
    ['an annotation', { annotations: { a: 'b' } }, 'known'],
    ['a version that is not served', { versions: [{ name: 'v1' }, { name: 'v2', served: false }] }, 'known'],
    [
      'one more served version',
      {
        versions: [
          { name: 'v1', served: true },
          { name: 'v2', served: true },
        ],
      },
      'new',
    ],
    ['a version that is served no more', { versions: [{ name: 'v1', served: false }] }, 'new'],
    ['another plural', { plural: 'fooes' }, 'new'],
  ])('%s', (_what, changed, expected) => {
    const { novelty } = definitionSlots(FOOS);
    const entry = {};
    expect(novelty?.(entry, viewOf({}))).toBe('new');
    expect(novelty?.(entry, viewOf({}))).toBe('known');
    expect(novelty?.(entry, viewOf(changed))).toBe(expected);
    expect(novelty?.(entry, viewOf(changed))).toBe('known');
  });

  test('nothing until the API server serves the kind', () => {
    const { novelty } = definitionSlots(FOOS);
    const entry = {};
    expect(novelty?.(entry, viewOf({ established: false }))).toBe('withheld');
    expect(novelty?.(entry, viewOf({}))).toBe('new');
  });

  test('each object is news of its own', () => {
    const { novelty } = definitionSlots(FOOS);
    expect(novelty?.({}, viewOf({}))).toBe('new');
    expect(novelty?.({}, viewOf({}))).toBe('new');
  });
});
