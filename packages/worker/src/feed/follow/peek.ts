import { type CollectionReader, headerOf, UpstreamFailure } from '../../upstream/index.ts';
import { codecOf, FrameView, isNewer, readFrames } from '../../wire/index.ts';

/** Longest wait for the answer, ms. */
const LIMIT_MS = 3_000;

/**
 * resourceVersion of the first change after `version` that a watch beside the open one brings; undefined when it brings
 * none. It may well come from another API server: what that has to tell, the open watch has to bring, too. Throws
 * UpstreamFailure and what the connection throws.
 */
export async function peekAfter(
  reader: CollectionReader,
  version: string,
  slots: readonly number[] | undefined,
  signal: AbortSignal,
): Promise<string | undefined> {
  const response = await reader.peek(version, AbortSignal.any([signal, AbortSignal.timeout(LIMIT_MS)]), slots);
  const codec = codecOf(headerOf(response, 'content-type'));
  const view = new FrameView();
  let found: string | undefined;
  await readFrames({
    response,
    codec,
    view,
    silenceMs: LIMIT_MS,
    frame: () => {
      if (view.type === 'ERROR') throw new UpstreamFailure('a brief watch', codec.readStatus(view));
      if (view.type === 'BOOKMARK' || !isNewer(view.resourceVersion(), version)) return true;
      found = view.resourceVersion();
      return false;
    },
    chunk: () => undefined,
  });
  return found;
}
