import type { ResourceVersion } from '@shard-controller/shared/kubernetes';
import type { CollectionReader } from '../../upstream/index.ts';
import { type FrameCodec, FrameView, isBehind } from '../../wire/index.ts';
import {
  applyFetched,
  compareWithList,
  completeRelist,
  type FeedState,
  type ListedObject,
  followRestore,
} from '../books/index.ts';

/** Up to this many objects that differ are fetched one by one; beyond, one list of whole objects is cheaper. */
export const MAX_SINGLE_GETS = 500;
const PARALLEL_GETS = 8;

/**
 * Brings a feed whose watch cannot be resumed to the present: compares the metadata of all objects with the index,
 * fetches only what differs, and writes the difference, deletions first. Its watch then continues from there.
 *
 * @param how.mayBeRestored another feed has found the API server's data to be older than before.
 * @param how.onRestored called when `version` was followed back from `lost`.
 */
export async function relist(
  state: FeedState,
  reader: CollectionReader,
  signal: AbortSignal,
  how: {
    readonly mayBeRestored: boolean;
    readonly onRestored: (lost: ResourceVersion, version: ResourceVersion) => void;
  },
): Promise<void> {
  const seen = new Map<string, ListedObject>();
  const slots = state.scope.list();
  const note = (view: FrameView): void => {
    const slot = state.slotOf(view);
    seen.set(view.uid(), { version: view.resourceVersion(), namespace: view.namespace(), name: view.name(), slot });
  };
  const { highWatermark } = state;
  const version = await reader.metadata(signal, note, slots);
  // A consistent read that is older than what was there before it: see restores.ts.
  const isRestored = how.mayBeRestored || isBehind(version, highWatermark);
  if (isRestored) {
    followRestore(state, version);
    how.onRestored(highWatermark, version);
  }
  state.skip(version);
  const stale = compareWithList(state, seen, version, isRestored);
  state.flush();
  const framed = new FrameView();
  let countedFrom = version;
  if (stale.size <= MAX_SINGLE_GETS && reader.readsSingles) {
    const objects = Array.from(stale, ([uid, { namespace, name }]) => ({ uid, namespace, name }));
    const missing = await fetchEach(reader, objects, signal, (object) => {
      applyFetched(state, object, framed);
      state.flush();
      return state.room();
    });
    if (missing > 0) countedFrom = (await reader.position(signal)).version;
  } else {
    let missing = stale.size;
    const take = (_codec: FrameCodec, view: FrameView): Promise<void> | undefined => {
      if (stale.has(view.uid())) {
        missing--;
        applyFetched(state, view.bytes.subarray(view.objectStart, view.objectEnd), framed);
      }
      state.flush();
      return state.room();
    };
    const listed = await reader.objects(signal, take, slots);
    if (missing > 0) countedFrom = listed;
  }
  completeRelist(state, version);
  // Objects that were there as of `version` and gone when they were fetched are in no count until the watch is there.
  state.skip(countedFrom);
}

/** An object that is known by name, and which of all that ever had it is meant. */
export interface KnownObject {
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
}

/**
 * Reads objects one by one, a few at a time, and hands over the bytes of each (without envelope). One that is gone or
 * was created again under its name is left out: the watch brings both events. Resolves to the number of those.
 */
export async function fetchEach(
  reader: CollectionReader,
  objects: readonly KnownObject[],
  signal: AbortSignal,
  take: (object: Buffer) => Promise<void> | undefined,
): Promise<number> {
  let missing = 0;
  const waiting = objects.slice();
  const stop = new AbortController();
  const either = AbortSignal.any([signal, stop.signal]);
  const work = async (): Promise<void> => {
    const view = new FrameView();
    for (let next = waiting.pop(); next !== undefined && !either.aborted; next = waiting.pop()) {
      const object = await reader.object(next.namespace, next.name, view, either);
      if (object === undefined || view.uid() !== next.uid) missing++;
      else if (!either.aborted) await take(object);
    }
  };
  try {
    await Promise.all(Array.from({ length: Math.min(PARALLEL_GETS, waiting.length) }, work));
    // A watch that was waiting for its exporter has merely stopped.
    signal.throwIfAborted();
  } finally {
    // One that failed ends the others, too.
    stop.abort();
  }
  // Those that waited for a slow exporter when it was stopped have left out the rest without an error.
  signal.throwIfAborted();
  return missing;
}
