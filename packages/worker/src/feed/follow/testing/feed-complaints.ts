import { fnv1a64, hashToBigInt, slotOf } from '@shard-controller/shared/hashing';
import { SlotRole } from '../../../slots/slot-plan.ts';
import { SlotState } from '../../books/subscription.ts';
import { brokenFeedInvariants } from '../../books/testing/invariants.ts';
import type { WatchPeer } from '../../books/testing/watch-peer.ts';
import { type FeedModel, SLOTS } from './feed-model.ts';

/** What is wrong at any moment; empty when nothing is. */
export function complaints(model: FeedModel): string[] {
  const found: string[] = [];
  for (const [i, { peer }] of model.exporters.entries()) {
    if (peer.regressions.length > 0) found.push(`exporter ${i} saw an older state of ${peer.regressions.join()}`);
    found.push(...risen(model, peer).map((line) => `exporter ${i} saw ${line}`));
  }
  found.push(...brokenInvariants(model), ...miscounts(model));
  return found;
}

/** Objects that came back although their deletion had been shown. */
function risen(model: FeedModel, peer: WatchPeer): string[] {
  if (peer.mayGoBack) return [];
  const gone = new Map<string, number>();
  const found: string[] = [];
  for (const line of peer.log) {
    const [type = '', rest = ''] = line.split(' ');
    const [uid = '', version = ''] = rest.split('@');
    if (type === 'DELETED' && model.facts.wasDeletedAt(uid, version)) gone.set(uid, Number(version));
    else if (line === 'LOST') gone.clear();
    else if (type === 'ADDED' && Number(version) < (gone.get(uid) ?? 0)) found.push(`${line} after its deletion`);
  }
  return found;
}

function brokenInvariants(model: FeedModel): string[] {
  const { state } = model.feed;
  // A list of what there was before a restore that nobody has noticed yet lacks what only the index still has.
  return state === undefined || model.isAhead() ? [] : brokenFeedInvariants(state);
}

/** Counts of shown slots that are not what there was at a position. */
function miscounts(model: FeedModel): string[] {
  const { state } = model.feed;
  if (state === undefined || state.subscriptions.length === 0 || !state.filled || model.isAhead()) return [];
  const shown = new Set<number>();
  for (let slot = 0; slot < SLOTS; slot++) {
    if (state.subscriptions.every(({ slots }) => slots[slot] === SlotState.Shown)) shown.add(slot);
  }
  const found: string[] = [];
  for (let at = Number(state.position); at >= Math.max(Number(state.digestFloor), Number(state.position) - 3); at--) {
    if (state.ring.since(String(at)) === undefined) break;
    const there = [...model.facts.thereAt(at)].filter((uid) => shown.has(slotOfUid(uid)));
    const said = state.digest(shown, String(at));
    const digest = BigInt.asUintN(
      64,
      there.reduce((total, uid) => total + hashToBigInt(fnv1a64(uid)), 0n),
    );
    if (said.count !== there.length || said.digest !== digest) {
      found.push(`counted ${said.count} as of ${at} instead of ${there.length}`);
    }
  }
  return found;
}

/** What is wrong once everything is at rest. */
export function finalComplaints(model: FeedModel): string[] {
  const { state } = model.feed;
  const found = complaints(model);
  if (state === undefined || !model.isAtRest(state) || state.position !== String(model.api.version)) {
    const slots = state?.subscriptions.map((subscription) => [...subscription.slots].join('')).join(' ');
    found.push(
      `it does not come to rest: connected ${model.feed.connected}, slots ${slots}, watches ${model.api.watches}, ` +
        `position ${state?.position} of ${model.api.version}, problem ${model.feed.problem}`,
    );
    return found;
  }
  const expected = [...model.api.objects].filter(([uid]) => model.roles[slotOfUid(uid)] === SlotRole.Owned);
  const wanted = said(expected.map(([uid, version]) => [uid, String(version)]));
  for (const [i, { peer, subscription }] of model.exporters.entries()) {
    if (said(peer.store) !== wanted) found.push(`exporter ${i} holds ${said(peer.store)}, not ${wanted}`);
    const sent = [...state.index.entries()].filter(
      ([, entry]) => subscription !== undefined && state.index.isSent(entry, subscription.mark),
    );
    const noted = said(sent.map(([uid, { version }]) => [uid, version]));
    if (noted !== wanted) found.push(`it takes exporter ${i} to hold ${noted}, not ${wanted}`);
  }
  return found;
}

function said(objects: Iterable<readonly [string, string]>): string {
  return [...objects]
    .map(([uid, version]) => `${uid}@${version}`)
    .sort()
    .join(' ');
}

function slotOfUid(uid: string): number {
  return slotOf(fnv1a64(uid).high, SLOTS);
}
