import { fnv1a64, slotOf } from '@shard-controller/shared/hashing';
import { type Clock, systemClock } from '@shard-controller/shared/runtime';
import { until } from '@shard-controller/shared/testing';
import { onTestFinished } from 'vitest';
import { slotHashOf } from '../../../slots/slot-hash.ts';
import { SlotRole } from '../../../slots/slot-plan.ts';
import { ScriptedApiServer } from '../../../upstream/testing/scripted-api-server.ts';
import { SlotState } from '../../books/subscription.ts';
import { WatchPeer } from '../../books/testing/watch-peer.ts';
import { Feed } from '../feed.ts';
import { PODS, testContext } from './feed-context.ts';

const SLOTS = 64;
export const slotOfUid = (uid: string): number => slotOf(fnv1a64(uid).high, SLOTS);
export const inSlots = (uids: Iterable<string>, from: number, to: number): string[] =>
  [...uids].filter((uid) => slotOfUid(uid) >= from && slotOfUid(uid) < to).sort();

export function owned(from: number, to: number): Uint8Array {
  return new Uint8Array(SLOTS).fill(SlotRole.Owned, from, to);
}

/** A feed with an exporter that comes back whenever its watch is ended, and a clock that can be set forward. */
export class PushdownRig {
  readonly api = new ScriptedApiServer();
  readonly peer = new WatchPeer();
  readonly pushdowns: boolean[] = [];
  readonly feed: Feed;
  roles = owned(0, 16);
  #ahead = 0;

  constructor(objects: number, narrows: boolean, pushdown: 'auto' | 'off' = 'auto', fieldSelector = '') {
    this.api.narrows = narrows;
    for (let i = 0; i < objects; i++) this.api.change('ADDED', `uid-${i}`);
    const clock: Clock = {
      ...systemClock,
      monotonic: () => systemClock.monotonic() + this.#ahead,
      sleep: (ms, signal) => systemClock.sleep(Math.min(ms, 2), signal),
    };
    this.feed = new Feed(
      { ...PODS, fieldSelector },
      { slotCount: SLOTS, shardBy: 'uid', slotHash: slotHashOf('uid', SLOTS) },
      testContext(this.api, {
        clock,
        metrics: {
          frames: () => {},
          relist: () => {},
          reconnect: () => {},
          pushdown: (_resource, on) => void this.pushdowns.push(on),
          cut: () => {},
        },
        roles: () => this.roles,
        pushdown,
      }),
    );
    const stop = new AbortController();
    onTestFinished(() => stop.abort());
    void this.feed.run(stop.signal);
  }

  async start(): Promise<this> {
    await until(() => this.feed.state !== undefined);
    const subscription = this.feed.state?.subscribe();
    if (subscription === undefined) throw new Error('the feed is not open');
    subscription.attach(this.peer.response());
    this.feed.adopt(subscription);
    const timer = setInterval(() => {
      if (subscription.closed) clearInterval(timer);
      else if (this.peer.ended) this.peer.rewatch(subscription);
    }, 1);
    await this.settled();
    return this;
  }

  async assign(roles: Uint8Array): Promise<void> {
    this.roles = roles;
    this.feed.plan();
    await this.settled();
  }

  /** Every slot of the exporter is as its role wants it, and the watch is open. */
  async settled(): Promise<void> {
    const isSettled = (): boolean =>
      this.feed.connected &&
      this.api.watches === 1 &&
      this.feed.state?.subscriptions[0]?.slots.every(
        (state, slot) => state === (this.roles[slot] === SlotRole.Owned ? SlotState.Shown : SlotState.Hidden),
      ) === true;
    await until(isSettled);
  }

  /** What the exporter shows is exactly what there is of its slots. */
  async complete(from: number, to: number): Promise<void> {
    const expected = inSlots(this.api.objects.keys(), from, to);
    await until(() => JSON.stringify([...this.peer.store.keys()].sort()) === JSON.stringify(expected));
  }

  async tidy(): Promise<void> {
    const before = this.selectors().length;
    this.#ahead += 10_000;
    this.feed.tidy();
    await until(() => this.selectors().length > before);
    await this.settled();
  }

  selectors(): string[] {
    return this.api.requests
      .filter((query) => query.includes('watch=true'))
      .map((query) => new URLSearchParams(query.replaceAll('||', '%7C%7C')).get('shardSelector') ?? 'everything');
  }
}

export const range = (from: number, to: number): string => {
  const hex = (slot: number): string => `0x${(BigInt(slot) << 58n).toString(16).padStart(16, '0')}`;
  return `shardRange(object.metadata.uid, '${hex(from)}', '${hex(to)}')`;
};
