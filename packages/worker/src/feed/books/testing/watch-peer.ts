import { readEvents } from '../../../wire/testing/wire.ts';
import type { Subscription, WatchResponse } from '../subscription.ts';

/** The exporter's end of a watch: keeps what client-go would have in its store. */
export class WatchPeer {
  /** resourceVersion by uid. */
  readonly store = new Map<string, string>();
  /** Everything that was received, `ADDED u1@5`. */
  readonly log: string[] = [];
  /** uids that were shown in an older state after a newer one, since it was last lost: resumed watches repeat events. */
  readonly regressions: string[] = [];
  /** The API server was restored: older states are right. */
  mayGoBack = false;
  readonly #told = new Set<string>();
  /** resourceVersion with which the next watch would start. */
  resumeVersion = '';
  ended = false;
  destroyed = false;
  /** While false, `write` reports a full pipe. */
  takes = true;
  /** While true, what is written stays in the pipe, and is lost with the connection. */
  stalls = false;
  #pipe: { readonly bytes: Uint8Array; readonly isEnd: boolean }[] = [];
  #listeners = new Map<string, () => void>();

  response(): WatchResponse {
    this.ended = false;
    return {
      write: (bytes) => {
        this.#receive(bytes, false);
        return this.takes;
      },
      end: (bytes) => this.#receive(bytes, true),
      destroy: () => {
        this.destroyed = true;
      },
      destroyed: this.destroyed,
      on: (event, listener) => this.#listeners.set(event, listener),
    };
  }

  /** Comes back as client-go does after a clean end. */
  rewatch(subscription: Subscription): void {
    if (subscription.awaitedVersion !== this.resumeVersion) {
      throw new Error(`the exporter comes back at ${this.resumeVersion}, expected at ${subscription.awaitedVersion}`);
    }
    subscription.attach(this.response());
  }

  /** Something that was written to it has not arrived. */
  get isBehindPipe(): boolean {
    return this.#pipe.length > 0;
  }

  drain(): void {
    this.takes = true;
    this.stalls = false;
    for (const { bytes, isEnd } of this.#pipe.splice(0)) this.#receive(bytes, isEnd);
    this.#listeners.get('drain')?.();
  }

  /** The connection breaks: `events` of those in the pipe still arrive. The exporter can come back afterwards. */
  lose(events = 0): void {
    let left = events;
    for (const { bytes } of this.#pipe.splice(0)) left -= this.#read(bytes, left);
    this.takes = true;
    this.stalls = false;
    this.#told.clear();
    this.leave();
    this.destroyed = false;
    this.ended = false;
  }

  /** Replaces what the exporter holds by a list. */
  replace(objects: readonly (readonly [uid: string, version: string])[], version: string): void {
    this.store.clear();
    for (const [uid, at] of objects) this.store.set(uid, at);
    this.resumeVersion = version;
    this.ended = true;
  }

  /** The exporter's connection is gone. */
  leave(): void {
    this.#listeners.get('close')?.();
  }

  #receive(bytes: Uint8Array, isEnd: boolean): void {
    if (this.stalls) {
      this.#pipe.push({ bytes: Uint8Array.from(bytes), isEnd });
      return;
    }
    this.#read(bytes);
    if (isEnd) this.ended = true;
  }

  /** Reads the first `limit` events; returns how many. */
  #read(bytes: Uint8Array, limit = Infinity): number {
    const all = readEvents(Buffer.from(bytes));
    // A bookmark follows its event at once: that both arrive, or neither does, is the one thing taken for granted here.
    const last = limit > 0 && all[limit]?.type === 'BOOKMARK' ? limit + 1 : limit;
    const events = all.slice(0, Math.max(0, last));
    for (const { type, uid, version } of events) {
      this.log.push(type === 'BOOKMARK' ? `BOOKMARK @${version}` : `${type} ${uid}@${version}`);
      this.resumeVersion = version;
      if (type === 'ADDED' || type === 'MODIFIED') {
        const isOlder = this.#told.has(uid) && Number(this.store.get(uid) ?? 0) > Number(version);
        if (isOlder && !this.mayGoBack) this.regressions.push(uid);
        this.#told.add(uid);
        this.store.set(uid, version);
      } else if (type === 'DELETED') this.store.delete(uid);
    }
    return events.length;
  }
}
