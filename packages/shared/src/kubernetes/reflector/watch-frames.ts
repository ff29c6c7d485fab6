import { isRecord } from '../../runtime/index.ts';

/** One event of a JSON watch, its object as it came. */
export interface WatchFrame {
  readonly type: string;
  readonly object: Readonly<Record<string, unknown>>;
}

export type WatchFrameFault = 'truncated' | 'malformed' | 'oversized';

/**
 * The bytes of a watch are not what a watch consists of.
 * @remedy check what stands between this process and the API server.
 */
export class WatchFrameError extends Error {
  override readonly name = 'WatchFrameError';
  readonly code = 'SC_WATCH_FRAME';
  readonly fault: WatchFrameFault;

  constructor(fault: WatchFrameFault, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.fault = fault;
  }
}

/** Above etcd's largest object many times over: a longer line is no event, and must not fill the memory. */
const MAX_FRAME_BYTES = 32 * 1024 * 1024;
const NEWLINE = 0x0a;
const INITIAL_EVENTS_END = 'k8s.io/initial-events-end';

/**
 * Splits the body of a JSON watch into events. Ends when the body ends; throws WatchFrameError for a line that is cut
 * off, too long or no event, and whatever the body throws.
 */
export async function* watchFrames(
  body: AsyncIterable<Uint8Array>,
  maxFrameBytes: number = MAX_FRAME_BYTES,
): AsyncGenerator<WatchFrame, void> {
  let parts: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of body) {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, start)) {
      parts.push(chunk.subarray(start, end));
      const line = Buffer.concat(parts).toString('utf8');
      parts = [];
      length = 0;
      start = end + 1;
      if (line.trim() !== '') yield parseFrame(line);
    }
    if (start < chunk.length) parts.push(chunk.subarray(start));
    length += chunk.length - start;
    if (length > maxFrameBytes) {
      throw new WatchFrameError('oversized', `a watch event is longer than ${maxFrameBytes} bytes`);
    }
  }
  if (length > 0)
    throw new WatchFrameError('truncated', `the watch ended inside an event, after ${length} bytes of it`);
}

/** Position of the collection after this event. Throws WatchFrameError when the event does not say. */
export function resourceVersionOf(frame: WatchFrame): string {
  const metadata = frame.object['metadata'];
  if (typeof metadata === 'object' && metadata !== null && 'resourceVersion' in metadata) {
    const { resourceVersion } = metadata;
    if (typeof resourceVersion === 'string' && resourceVersion !== '') return resourceVersion;
  }
  throw new WatchFrameError('malformed', `a ${frame.type} event without metadata.resourceVersion`);
}

/** Whether this bookmark closes the list part of a streaming list (KEP-3157). */
export function endsInitialEvents(frame: WatchFrame): boolean {
  const metadata = frame.object['metadata'];
  if (typeof metadata !== 'object' || metadata === null || !('annotations' in metadata)) return false;
  const { annotations } = metadata;
  if (typeof annotations !== 'object' || annotations === null) return false;
  return INITIAL_EVENTS_END in annotations && annotations[INITIAL_EVENTS_END] === 'true';
}

function parseFrame(line: string): WatchFrame {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (cause) {
    throw new WatchFrameError('malformed', `a line of the watch is not JSON: ${line.slice(0, 80)}`, cause);
  }
  if (!isRecord(value) || typeof value['type'] !== 'string' || !isRecord(value['object'])) {
    throw new WatchFrameError('malformed', `a line of the watch is not an event: ${line.slice(0, 80)}`);
  }
  return { type: value['type'], object: value['object'] };
}
