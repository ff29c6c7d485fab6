import type { Subscription, WatchResponse } from '../subscription.ts';
import { readEvents } from './wire.ts';

/** The exporter's end of a watch: keeps what client-go would have in its store. */
export class WatchPeer {
  /** resourceVersion by uid. */
  readonly store = new Map<string, string>();
  /** Everything that was received, `ADDED u1@5`. */
  readonly log: string[] = [];
  /** uids that were shown in an older state after a newer one. */
  readonly regressions: string[] = [];
  /** resourceVersion with which the next watch would start. */
  resumeVersion = '';
  ended = false;
  destroyed = false;
  /** While false, `write` reports a full pipe. */
  takes = true;
  #listeners = new Map<string, () => void>();

  response(): WatchResponse {
    this.ended = false;
    return {
      write: (bytes) => {
        this.#read(bytes);
        return this.takes;
      },
      end: (bytes) => {
        this.#read(bytes);
        this.ended = true;
      },
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

  drain(): void {
    this.takes = true;
    this.#listeners.get('drain')?.();
  }

  /** The exporter's connection is gone. */
  leave(): void {
    this.#listeners.get('close')?.();
  }

  #read(bytes: Uint8Array): void {
    for (const { type, uid, version } of readEvents(Buffer.from(bytes))) {
      this.log.push(type === 'BOOKMARK' ? `BOOKMARK @${version}` : `${type} ${uid}@${version}`);
      this.resumeVersion = version;
      if (type === 'ADDED' || type === 'MODIFIED') {
        if (Number(this.store.get(uid) ?? 0) > Number(version)) this.regressions.push(uid);
        this.store.set(uid, version);
      } else if (type === 'DELETED') this.store.delete(uid);
    }
  }
}
