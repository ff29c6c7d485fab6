import type { CollectionReader } from './collection-reader.ts';
import type { FeedState } from './feed-state.ts';
import { FrameView } from './frame-view.ts';

/** Up to this many objects that differ are fetched one by one; beyond, one list of whole objects is cheaper. */
const MAX_SINGLE_GETS = 500;
const PARALLEL_GETS = 8;

/**
 * Brings a feed whose watch cannot be resumed to the present: compares the metadata of all objects with the index,
 * fetches only what differs, and writes the difference, deletions first. Its watch then goes on from there.
 */
export async function relist(state: FeedState, reader: CollectionReader, signal: AbortSignal): Promise<void> {
  const seen = new Map<string, { version: string; namespace: string; name: string; slot: number }>();
  const version = await reader.metadata(signal, (view) => {
    const slot = state.slotOf(view);
    seen.set(view.uid(), { version: view.resourceVersion(), namespace: view.namespace(), name: view.name(), slot });
  });
  const stale = state.compare(seen, version);
  state.flush();
  const framed = new FrameView();
  if (stale.size <= MAX_SINGLE_GETS) await fetchEach(state, reader, stale, framed, signal);
  else {
    await reader.objects(signal, (_codec, view) => {
      if (stale.has(view.uid())) state.refetched(view.bytes.subarray(view.objectStart, view.objectEnd), framed);
      state.flush();
      return state.room();
    });
  }
  state.completeRelist(version);
}

async function fetchEach(
  state: FeedState,
  reader: CollectionReader,
  stale: ReadonlyMap<string, { readonly namespace: string; readonly name: string }>,
  framed: FrameView,
  signal: AbortSignal,
): Promise<void> {
  const waiting = [...stale];
  const work = async (): Promise<void> => {
    const view = new FrameView();
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      const [uid, { namespace, name }] = next;
      const object = await reader.object(namespace, name, view, signal);
      // Gone, or re-created under the same name: the watch from the relist's position brings both events.
      if (object === undefined || view.uid() !== uid) continue;
      state.refetched(object, framed);
      state.flush();
      await state.room();
    }
  };
  await Promise.all(Array.from({ length: PARALLEL_GETS }, work));
}
