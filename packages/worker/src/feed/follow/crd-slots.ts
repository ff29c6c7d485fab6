import { isRecord } from '@shard-controller/shared/runtime';
import type { CustomResourceKind } from '../../pruning/index.ts';
import type { FrameView } from '../../wire/index.ts';
import type { FilterDecision } from '../books/index.ts';
import type { FeedSlots } from './context.ts';

const QUIET = 0;
const SHOWN = 1;
const OPEN_BRACE = 0x7b;

/** What kube-state-metrics reads of a CustomResourceDefinition (`extractGVKPs` of its internal/discovery). */
interface Crd {
  readonly kind: string;
  /** Kind, plural and served versions in one text. */
  readonly known: string;
  /** The API server serves the resource. */
  readonly isServed: boolean;
}

/**
 * CustomResourceDefinitions are not sharded but quieted: kube-state-metrics drops and rebuilds every store on any event
 * of any of them. So only those whose group and kind its custom-resource-state config names are shown to change, from
 * when the API server serves them, and only when the plural or the served versions change: a status or a schema is
 * nothing to it. The others appear in its first list and stay as they were.
 */
export function crdSlots(customResources: readonly CustomResourceKind[]): FeedSlots {
  const groups = Map.groupBy(customResources, ({ group }) => group);
  const sent = new WeakMap<object, string>();
  return {
    slotCount: 2,
    quietSlot: QUIET,
    unsharded: true,
    slotHash: (view) => {
      // The name of a CRD is <plural>.<group>.
      const name = view.name();
      const kinds = groups.get(name.slice(name.indexOf('.') + 1))?.map(({ kind }) => kind);
      if (kinds === undefined) return QUIET;
      if (kinds.includes('*')) return SHOWN;
      // Where only metadata is at hand, the whole object is fetched because of this, and then asked about here.
      const crd = readCrd(view);
      return crd === undefined || kinds.includes(crd.kind) ? SHOWN : QUIET;
    },
    eventFilter: (entry, view): FilterDecision => {
      const crd = readCrd(view);
      if (crd === undefined) return 'forward';
      if (!crd.isServed) return 'suppress';
      if (sent.get(entry) === crd.known) return 'dedupe';
      sent.set(entry, crd.known);
      return 'forward';
    },
  };
}

/** Undefined for anything but a whole CRD in JSON, which is what kube-state-metrics asks for. */
function readCrd({ bytes, objectStart, objectEnd }: FrameView): Crd | undefined {
  if (bytes[objectStart] !== OPEN_BRACE) return undefined;
  const object: unknown = JSON.parse(bytes.toString('utf8', objectStart, objectEnd));
  const spec = field(object, 'spec');
  const names = field(spec, 'names');
  const kind = field(names, 'kind');
  if (typeof kind !== 'string') return undefined;
  const versions = listOf(field(spec, 'versions'))
    .filter((version) => field(version, 'served') !== false)
    .map((version) => field(version, 'name'));
  const isServed = listOf(field(field(object, 'status'), 'conditions')).some(
    (condition) => field(condition, 'type') === 'Established' && field(condition, 'status') === 'True',
  );
  return { kind, known: JSON.stringify([kind, field(names, 'plural'), versions]), isServed };
}

function field(of: unknown, name: string): unknown {
  return isRecord(of) ? of[name] : undefined;
}

const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);
