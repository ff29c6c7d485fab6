import { Readable } from 'node:stream';
import type { StreamResponse } from '@shard-controller/shared/kubernetes';
import { type Clock, systemClock } from '@shard-controller/shared/runtime';
import { until } from '@shard-controller/shared/testing';
import { slotHashOf } from '../../../slots/slot-hash.ts';
import { SlotRole } from '../../../slots/slot-plan.ts';
import { ScriptedApiServer } from '../../../upstream/testing/scripted-api-server.ts';
import { SlotState, type Subscription } from '../../books/subscription.ts';
import { WatchPeer } from '../../books/testing/watch-peer.ts';
import { Feed } from '../feed.ts';
import { Restores } from '../restores.ts';
import { PODS, testContext } from './feed-context.ts';

const SLOTS = 64;
export const everything = new Uint8Array(SLOTS).fill(SlotRole.Owned);

/** A Status: 410 Expired. */
export const gone = Buffer.concat([Buffer.from([0x22, 0x07]), Buffer.from('Expired'), Buffer.from([0x30, 0x9a, 0x03])]);

const stops: AbortController[] = [];

/** Ends every feed that was opened here. */
export function stopFeeds(): void {
  for (const stop of stops.splice(0)) stop.abort();
}

export interface Rig {
  readonly api: ScriptedApiServer;
  readonly feed: Feed;
  readonly peer: WatchPeer;
  readonly slept: number[];
  readonly counted: string[];
  /** Time passes by itself, and by so much more. */
  pass(ms: number): void;
}

/** An open feed, until `stopFeeds`. */
export function newFeed(
  api: ScriptedApiServer,
  resumeFrom?: string,
  restores = new Restores(),
  labelSelector = '',
): Omit<Rig, 'peer'> {
  let ahead = 0;
  const slept: number[] = [];
  const counted: string[] = [];
  const clock: Clock = {
    ...systemClock,
    monotonic: () => systemClock.monotonic() + ahead,
    sleep: (ms, signal) => {
      slept.push(ms);
      return systemClock.sleep(Math.min(ms, 2), signal);
    },
  };
  const key = { ...PODS, labelSelector, accept: 'application/vnd.kubernetes.protobuf,application/json' };
  const feed = new Feed(
    key,
    { slotCount: SLOTS, slotHash: slotHashOf('uid', SLOTS) },
    testContext(api, {
      clock,
      metrics: {
        frames: () => {},
        cut: () => {},
        relist: (_resource, cause) => counted.push(`relist ${cause}`),
        loadFailure: (_resource, cause) => counted.push(`load ${cause}`),
        reconnect: (_resource, cause) => counted.push(`reconnect ${cause}`),
        pushdown: () => {},
      },
      restores,
      roles: () => everything,
    }),
    resumeFrom,
  );
  const stop = new AbortController();
  stops.push(stop);
  void feed.run(stop.signal).catch(() => {});
  return { api, feed, slept, counted, pass: (ms) => void (ahead += ms) };
}

/** A feed whose exporter has rendered everything. */
export async function newRig(...uids: readonly string[]): Promise<Rig> {
  const api = new ScriptedApiServer();
  for (const uid of uids) api.change('ADDED', uid);
  return rigOf(newFeed(api));
}

/** The same for a feed that is there already. */
export async function rigOf(parts: Omit<Rig, 'peer'>): Promise<Rig> {
  const { api } = parts;
  await until(() => parts.feed.state !== undefined);
  const peer = new WatchPeer();
  const subscription = subscribe(parts.feed, peer);
  await until(() => subscription.slots.every((slot) => slot === SlotState.Shown));
  peer.log.length = 0;
  api.requests.length = 0;
  return { ...parts, peer };
}

/** Opens a watch that comes back whenever it is ended, as client-go does. */
export function subscribe(feed: Feed, peer: WatchPeer): Subscription {
  if (feed.state === undefined) throw new Error('the feed is not open');
  const subscription = feed.state.subscribe();
  subscription.attach(peer.response());
  feed.adopt(subscription);
  const timer = setInterval(() => {
    if (subscription.closed) clearInterval(timer);
    else if (peer.ended) peer.rewatch(subscription);
  }, 1);
  return subscription;
}

/** Ends the watch of a feed, which never gets another one. */
export async function loseWatch(api: ScriptedApiServer, feed: Feed): Promise<void> {
  api.opening = new Promise(() => {});
  api.cut(new Error('ECONNRESET'));
  await until(() => !feed.connected);
}

/** Resolves once `holds` does. */

export const protobuf = (body: Buffer): StreamResponse => ({
  status: 200,
  headers: { 'content-type': 'application/vnd.kubernetes.protobuf' },
  body: Readable.from([body]),
});

export const plainWatches = (api: ScriptedApiServer): string[] =>
  api.requests.filter((query) => query.startsWith('watch=true') && !query.includes('sendInitialEvents'));

export const lists = (api: ScriptedApiServer): string[] => api.requests.filter((query) => query.includes('limit=50'));
