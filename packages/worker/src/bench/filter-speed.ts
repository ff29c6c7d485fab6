import { type ExporterPruning, prunerFor } from '../pruning/index.ts';
import { slotHashOf } from '../slots/index.ts';
import { codecOf, FrameSplitter, FrameView, type ObjectKind, type WireEncoding } from '../wire/index.ts';

/** What a socket hands over at once. Bytes. */
const CHUNK = 64 * 1024;
const SLOTS = 256;
const OWNED = SLOTS / 4;

export interface FilterSpeed {
  readonly objects: number;
  readonly bytesPerObject: number;
  /** Share of the objects that is for the exporter, 0 to 1. */
  readonly keptShare: number;
  /** Per second of CPU time of the whole process, garbage collection included. */
  readonly objectsPerSecond: number;
}

export interface PruningSpeed extends FilterSpeed {
  /** Share of the bytes that is left out, 0 to 1. */
  readonly prunedShare: number;
}

/**
 * Reads the frames of `stream` again and again for `milliseconds`, as a feed does without its index: splits, walks to
 * the uid, hashes, decides. A quarter of the slots is owned.
 */
export function measureFilter(stream: Buffer, encoding: WireEncoding, milliseconds: number): FilterSpeed {
  const slotOf = slotHashOf('uid', SLOTS);
  return measure(stream, encoding, milliseconds, (view) => slotOf(view) < OWNED);
}

/** The same with every object kept, pruned and copied once, as it is for the exporter's queue. */
export function measurePruning(
  stream: Buffer,
  encoding: WireEncoding,
  milliseconds: number,
  kind: ObjectKind & { readonly group: string; readonly resource: string },
  exporter: ExporterPruning,
): PruningSpeed {
  const pruner = prunerFor(exporter, [], kind, kind, encoding);
  let left = 0;
  const speed = measure(stream, encoding, milliseconds, (view) => {
    left += pruner?.event('ADDED', view)?.length ?? 0;
    return true;
  });
  const pruned = pruner?.prunedBytes ?? 0;
  return { ...speed, prunedShare: pruned / (left + pruned) };
}

function measure(
  stream: Buffer,
  encoding: WireEncoding,
  milliseconds: number,
  take: (view: FrameView) => boolean,
): FilterSpeed {
  const codec = codecOf(encoding);
  const splitter = new FrameSplitter(encoding);
  const view = new FrameView();
  let objects = 0;
  let kept = 0;
  const pass = (): void => {
    for (let at = 0; at < stream.length; at += CHUNK) {
      splitter.push(stream.subarray(at, at + CHUNK), (bytes, _start, _end, payloadStart, payloadEnd) => {
        codec.readFrame(bytes, payloadStart, payloadEnd, view);
        objects++;
        if (take(view)) kept++;
      });
    }
  };
  const until = (deadline: number): void => {
    while (performance.now() < deadline) pass();
  };
  // Until the code is compiled, it is not what a worker runs.
  until(performance.now() + milliseconds / 4);
  objects = kept = 0;
  const before = process.cpuUsage();
  until(performance.now() + milliseconds);
  const { user, system } = process.cpuUsage(before);
  return {
    objects,
    keptShare: kept / objects,
    bytesPerObject: stream.length / countFrames(stream, encoding),
    objectsPerSecond: objects / ((user + system) / 1e6),
  };
}

function countFrames(stream: Buffer, encoding: WireEncoding): number {
  let frames = 0;
  new FrameSplitter(encoding).push(stream, () => frames++);
  return frames;
}
