import { describe, expect, test } from 'vitest';
import { type ExporterPruning, prunerFor } from '../../pruning/exporter-pruning.ts';
import { decodeFrame, encodeFrame, encodeObject } from '../../pruning/testing/kubernetes-schema.ts';
import { slotHashOf } from '../../slots/slot-hash.ts';
import { SlotRole } from '../../slots/slot-plan.ts';
import { protobufCodec } from '../../wire/frame-codec.ts';
import { FrameView } from '../../wire/frame-view.ts';
import { applyEvent } from './events.ts';
import { reconcileSlots } from './slots.ts';
import { FeedState } from './state.ts';
import type { Subscription } from './subscription.ts';

const SLOTS = 64;
const everything = new Uint8Array(SLOTS).fill(SlotRole.Owned);
const EXPORTER: ExporterPruning = {
  version: '2.20.0',
  annotationAllowList: new Map([
    ['pods', ['example.com/owner']],
    ['configmaps', ['example.com/*']],
  ]),
};
const SECRET = { group: '', resource: 'secrets', apiVersion: 'v1', kind: 'Secret' } as const;

const annotations = { 'example.com/owner': 'o', 'example.com/team': 't', 'kubernetes.io/ingress.class': 'c' };

function frameOf(type: string, version: string): Buffer {
  const managedFields = [{ manager: 'kubectl' }];
  const metadata = { name: 'x', uid: 'u1', resourceVersion: version, annotations, managedFields };
  return encodeFrame(type, 'Secret', encodeObject('Secret', { metadata, data: { key: Buffer.from('confidential') } }));
}

const view = new FrameView();

describe('a pruned feed', () => {
  const feedOf = (pruner: ReturnType<typeof prunerFor>): FeedState =>
    new FeedState({
      kind: SECRET,
      codec: protobufCodec,
      slotCount: SLOTS,
      slotHash: slotHashOf('uid', SLOTS),
      position: '1',
      pruner,
      now: () => 0,
      onChange: () => {},
    });

  function live(feed: FeedState, type: string, version: string): void {
    const frame = frameOf(type, version);
    protobufCodec.readWhole(frame, view);
    applyEvent(feed, view, 0, frame.length);
  }

  /** Collects what is written to the subscription's client. */
  function listen(subscription: Subscription): Buffer[] {
    const written: Buffer[] = [];
    subscription.attach({
      write: (bytes) => written.push(Buffer.from(bytes)) > 0,
      end: (bytes) => written.push(Buffer.from(bytes)),
      destroy: () => {},
      destroyed: false,
      on: () => {},
    });
    return written;
  }

  test('sends events of every type lean: new, changed, rewritten to ADDED, deleted', () => {
    const feed = feedOf(prunerFor(EXPORTER, [], SECRET, SECRET, 'protobuf'));
    const written = listen(feed.subscribe());
    reconcileSlots(feed, everything);
    for (const [type, version] of [
      ['MODIFIED', '2'],
      ['MODIFIED', '3'],
      ['DELETED', '4'],
    ] as const) {
      live(feed, type, version);
      feed.flush();
    }
    const expected = (type: string, resourceVersion: string): unknown => ({
      type,
      kind: 'Secret',
      object: { metadata: { name: 'x', uid: 'u1', resourceVersion } },
    });
    expect(written.map(decodeFrame)).toEqual([
      expected('ADDED', '2'),
      expected('MODIFIED', '3'),
      expected('DELETED', '4'),
    ]);
    expect(feed.pruner?.prunedBytes).toBeGreaterThan(3 * 'confidential'.length);
  });

  test('answers a list lean', () => {
    const feed = feedOf(prunerFor(EXPORTER, [], SECRET, SECRET, 'protobuf'));
    const subscription = feed.subscribe();
    let listed: readonly Buffer[] = [];
    subscription.collect((objects) => (listed = objects));
    reconcileSlots(feed, everything);
    live(feed, 'ADDED', '2');
    subscription.finishCollecting('2');
    const metadata = { name: 'x', uid: 'u1', resourceVersion: '2' };
    expect(listed.map((object) => object.toString('hex'))).toEqual([
      encodeObject('Secret', { metadata }).toString('hex'),
    ]);
  });

  test('without one, passes every byte', () => {
    const feed = feedOf(undefined);
    const written = listen(feed.subscribe());
    reconcileSlots(feed, everything);
    live(feed, 'ADDED', '2');
    feed.flush();
    expect(Buffer.concat(written).toString('hex')).toBe(frameOf('ADDED', '2').toString('hex'));
  });
});
