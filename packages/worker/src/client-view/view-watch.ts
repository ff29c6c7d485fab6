import type { Writable } from 'node:stream';
import { discard, type StreamResponse, type ResourceVersion } from '@shard-controller/shared/kubernetes';
import type { Exposure } from '../slots/index.ts';
import { FrameSplitter, FrameView, isNewer, SilentWatchError } from '../wire/index.ts';
import type { ViewEvents } from './view-events.ts';

/** kube-apiserver sends a bookmark about every minute; one that has done so and then says nothing is stuck. ms. */
const SILENCE_MS = 90_000;
/** A client that takes nothing for so long is cut off. ms. */
const STALL_MS = 60_000;

/** Everything of the collection at one moment, item by item; resolves with the moment's resourceVersion. */
export type ListAll = (
  item: (view: FrameView, isRow: boolean) => void,
  room: () => Promise<void>,
  signal: AbortSignal,
) => Promise<string>;

export interface ViewWatchOptions {
  readonly answer: StreamResponse;
  readonly sink: Writable;
  readonly events: ViewEvents;
  /** What the client has been shown. */
  readonly held: Exposure;
  /** resourceVersion that the client holds; empty when it starts from nothing. */
  readonly position: ResourceVersion;
  /** The stream starts with what there is, and says when that is through. */
  readonly wantsInitialEvents: boolean;
  readonly wantsBookmarks: boolean;
  readonly listAll: ListAll;
  /** The client may hold a part of a move: its resourceVersion no longer says anything about its slots. */
  readonly onTorn: () => void;
  readonly onUnknown: () => void;
  readonly signal: AbortSignal;
}

/**
 * A watch of a client that is not the exporter: the API server's own stream, with the events of other shards' objects
 * left out. It needs no index: when slots come or go, one list says which objects they hold, while the stream waits.
 */
export class ViewWatch {
  readonly #options: ViewWatchOptions;
  readonly #view = new FrameView();
  readonly #slotFloors = new Map<number, { readonly version: ResourceVersion; readonly gained: boolean }>();
  #held: Exposure;
  #wanted: Exposure;
  #position: ResourceVersion;
  #isTable = false;
  /** While the first state is on its way, no position says what the client has. */
  #isFilling: boolean;
  #out: Uint8Array[] = [];
  #ended = false;
  #move: Promise<void> | undefined;
  /** Frames that came during a move. */
  #waiting: Buffer[] = [];

  constructor(options: ViewWatchOptions) {
    this.#options = options;
    this.#held = options.held;
    this.#wanted = options.held;
    this.#position = options.position;
    this.#isFilling = options.wantsInitialEvents;
  }

  /** Works towards another exposure; from this call on nothing is said under the old one. */
  show(exposure: Exposure): void {
    this.#wanted = exposure;
    if (this.#move !== undefined || exposure.equals(this.#held) || this.#ended) return;
    this.#move = this.#moves().finally(() => {
      this.#move = undefined;
      // What was wanted while the end of the move waited for its client.
      this.show(this.#wanted);
    });
  }

  /** Serves until the upstream ends, the client goes, or something is wrong; always ends the response. */
  async run(): Promise<void> {
    const { answer, events, sink } = this.#options;
    const splitter = new FrameSplitter(events.codec.encoding);
    let timer: NodeJS.Timeout | undefined;
    const silent = (): void => void answer.body.destroy(new SilentWatchError('a watch was silent for too long'));
    try {
      for await (const chunk of answer.body) {
        splitter.push(chunk as Buffer, (bytes, start, end, from, to) => this.#frame(bytes, start, end, from, to));
        await this.#settled();
        await this.#flush();
        if (this.#ended) break;
        if (this.#view.type === 'BOOKMARK') timer ??= setTimeout(silent, SILENCE_MS);
        timer?.refresh();
      }
      await this.#settled();
      await this.#flush();
      this.#ended = true;
      sink.end();
    } finally {
      this.#ended = true;
      clearTimeout(timer);
      discard(answer);
    }
  }

  #frame(bytes: Buffer, start: number, end: number, from: number, to: number): void {
    if (this.#ended) return;
    if (this.#move !== undefined) {
      this.#waiting.push(Buffer.from(bytes.subarray(start, end)));
      return;
    }
    this.#options.events.read(bytes, from, to, this.#view);
    this.#event(start, end);
  }

  #event(start: number, end: number): void {
    const { events, wantsBookmarks, onUnknown } = this.#options;
    const view = this.#view;
    if (view.type === 'ERROR') {
      this.#out.push(events.forward(view, start, end));
      this.#ended = true;
      return;
    }
    if (view.type === 'UNKNOWN') {
      // What it does to an object is not known, so neither passing nor dropping it would be right.
      onUnknown();
      this.#ended = true;
      return;
    }
    const version = view.resourceVersion();
    const passes = view.type === 'BOOKMARK' ? wantsBookmarks || view.initialEventsEnd : this.#shows(view, version);
    if (view.type === 'BOOKMARK' || isNewer(version, this.#position)) this.#position = version;
    if (view.initialEventsEnd) this.#isFilling = false;
    if (passes) this.#out.push(events.forward(view, start, end));
  }

  #shows(view: FrameView, version: ResourceVersion): boolean {
    const slot = this.#held.slotOf(view);
    const floor = this.#slotFloors.get(slot);
    if (floor === undefined || isNewer(version, floor.version)) return this.#held.showsSlot(slot);
    // The list of the move has said it; only a deletion before it concerns what was no longer in the list.
    return !floor.gained && view.type === 'DELETED';
  }

  async #settled(): Promise<void> {
    while (this.#move !== undefined) await this.#move;
  }

  async #moves(): Promise<void> {
    const { onTorn, signal, sink, answer } = this.#options;
    const torn = (): void => onTorn();
    sink.once('close', torn);
    try {
      await this.#flush();
      while (!this.#wanted.equals(this.#held)) await this.#moveTo(this.#wanted);
      sink.off('close', torn);
      const waiting = this.#waiting;
      this.#waiting = [];
      for (const frame of waiting) {
        if (this.#ended) break;
        const head = this.#options.events.codec.encoding === 'protobuf' ? 4 : 0;
        const tail = head === 0 ? 1 : 0;
        this.#options.events.read(frame, head, frame.length - tail, this.#view);
        this.#event(0, frame.length);
      }
      await this.#flush();
    } catch (error) {
      sink.off('close', torn);
      onTorn();
      this.#ended = true;
      if (!signal.aborted) answer.body.destroy(error instanceof Error ? error : new Error(String(error)));
    }
  }

  async #moveTo(next: Exposure): Promise<void> {
    const { events, listAll, wantsBookmarks, signal } = this.#options;
    const before = this.#held;
    const version = await listAll(
      (view, isRow) => {
        this.#isTable ||= isRow;
        const slot = next.slotOf(view);
        const [had, has] = [before.showsSlot(slot), next.showsSlot(slot)];
        if (had === has) return;
        this.#out.push(events.made(has ? 'ADDED' : 'DELETED', view, isRow, this.#position));
      },
      () => this.#flush(),
      signal,
    );
    for (const slot of next.slots()) {
      const [had, has] = [before.showsSlot(slot), next.showsSlot(slot)];
      if (had !== has) this.#slotFloors.set(slot, { version, gained: has });
    }
    this.#held = next;
    // The events above are old: the client continues from where the stream stands.
    if (wantsBookmarks && !this.#isFilling && this.#position !== '')
      this.#out.push(events.bookmark(this.#position, this.#isTable));
    await this.#flush();
  }

  async #flush(): Promise<void> {
    const { sink } = this.#options;
    const out = this.#out;
    if (out.length === 0 || sink.destroyed) return;
    this.#out = [];
    if (sink.write(out.length === 1 ? out[0] : Buffer.concat(out))) return;
    await drained(sink);
  }
}

/** Resolves when the peer has taken enough, or is gone; a peer that takes nothing is cut off. */
export function drained(sink: Writable): Promise<void> {
  if (!sink.writableNeedDrain || sink.destroyed) return Promise.resolve();
  return new Promise((resolve) => {
    const stalled = setTimeout(() => sink.destroy(), STALL_MS);
    const done = (): void => {
      clearTimeout(stalled);
      sink.off('drain', done);
      sink.off('close', done);
      resolve();
    };
    sink.on('drain', done);
    sink.on('close', done);
  });
}
