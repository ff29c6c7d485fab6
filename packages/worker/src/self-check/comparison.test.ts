import { describe, expect, it } from 'vitest';
import type { FeedReport } from '../data-plane/inspection.ts';
import { feedReport } from '../testing/fixtures.ts';
import { compareKinds, kindStates } from './comparison.ts';
import { SeriesCounter } from './series-counter.ts';

function exposition(pods: number, others: readonly string[] = []): SeriesCounter {
  const counter = new SeriesCounter();
  const lines = pods < 0 ? [] : ['# HELP kube_pod_info x', ...Array<string>(pods).fill('kube_pod_info{} 1')];
  counter.push(Buffer.from([...lines, ...others, ''].join('\n')));
  return counter;
}

function verdict(
  feeds: readonly FeedReport[],
  counter: SeriesCounter,
  { before = feeds, seen = [] }: { before?: readonly FeedReport[]; seen?: readonly string[] } = {},
): string | undefined {
  return compareKinds(kindStates(before), kindStates(feeds), counter, new Set(seen))[0]?.verdict;
}

describe('a kind is compared with its exposition', () => {
  it('by one series per object', () => {
    expect(verdict([feedReport()], exposition(20))).toBe('equal');
    expect(verdict([feedReport()], exposition(19))).toBe('differs');
    expect(verdict([feedReport()], exposition(21))).toBe('differs');
    expect(verdict([feedReport({ sent: 0 })], exposition(0))).toBe('equal');
    expect(verdict([feedReport({ sent: 0 })], exposition(-1))).toBe('equal');
    expect(verdict([feedReport({ sent: 0 })], exposition(1))).toBe('differs');
  });

  it('over all feeds of the kind', () => {
    const feeds = ['a', 'b'].map((namespace) => feedReport({ feed: `/api/v1/namespaces/${namespace}/pods` }));
    expect(verdict(feeds, exposition(40))).toBe('equal');
    expect(verdict(feeds, exposition(20))).toBe('differs');
  });

  it('with what came and went meanwhile as slack', () => {
    const before = [feedReport({ sentChanges: 17 })];
    expect(verdict([feedReport()], exposition(17), { before })).toBe('equal');
    expect(verdict([feedReport()], exposition(16), { before })).toBe('differs');
  });

  it('not while something is under way', () => {
    const watch = { id: 1, attached: true, awaits: undefined, slotsShown: 3, queuedFrames: 0 };
    for (const over of [
      { queuedFrames: 1 },
      { filled: false },
      { watches: [] },
      { watches: [{ ...watch, awaits: '17' }] },
      { watches: [{ ...watch, attached: false }] },
    ]) {
      expect(verdict([feedReport(over)], exposition(3))).toBe('unsettled');
      expect(verdict([feedReport()], exposition(3), { before: [feedReport(over)] })).toBe('unsettled');
    }
    expect(verdict([feedReport()], exposition(3), { before: [] })).toBe('unsettled');
  });
});

describe('no alarm is raised', () => {
  it('for a kind without a metric that counts its objects', () => {
    expect(verdict([feedReport({ collection: 'leases.coordination.k8s.io' })], exposition(0))).toBe('not-checkable');
  });

  it('for a kind of another group with the same name', () => {
    expect(verdict([feedReport({ collection: 'pods.metrics.k8s.io' })], exposition(0))).toBe('not-checkable');
  });

  it('for a kind that is read in two forms, or by two watches', () => {
    const json = feedReport({ accept: 'application/json' });
    expect(verdict([feedReport(), json], exposition(20))).toBe('not-checkable');
    const watches = feedReport().watches;
    expect(verdict([feedReport({ watches: [...watches, ...watches] })], exposition(9))).toBe('not-checkable');
  });

  it('for a metric that is denied, alone or with its whole kind', () => {
    expect(verdict([feedReport()], exposition(-1, ['kube_pod_labels{} 1']))).toBe('not-checkable');
    expect(verdict([feedReport()], exposition(-1, ['kube_poddisruptionbudget_created{} 1']))).toBe('not-checkable');
  });

  it('but when a kind that was exposed before is gone as a whole', () => {
    const seen = ['kube_pod_info'];
    expect(verdict([feedReport()], exposition(-1), { seen })).toBe('differs');
    expect(verdict([feedReport()], exposition(-1, ['kube_pod_labels{} 1']), { seen })).toBe('not-checkable');
  });
});
