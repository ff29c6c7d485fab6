import { beforeEach, describe, expect, test } from 'vitest';
import { SlotState } from '../feed/books/subscription.ts';
import { FeedTrouble } from '../feed/health/trouble.ts';
import { UnknownKindFailure, UpstreamFailure } from '../upstream/upstream-failure.ts';
import { DEAF_MS, type JudgedFeed, KindOutages, PATIENCE_MS, RECOVERY_MS } from './kind-outages.ts';

/** The wall clock is so far ahead of the monotonic one. ms. */
const EPOCH = 1_000_000;

interface Kind extends JudgedFeed {
  connected: boolean;
  readonly trouble: FeedTrouble;
  provenAt: number;
}

let now = 0;
/** When the API server last answered a probe; undefined: at every moment. */
let probedAt: number | undefined;
let kinds: Kind[];
let outages: KindOutages<Kind>;

beforeEach(() => {
  now = 100_000;
  probedAt = undefined;
  outages = new KindOutages();
});

const shown = { attached: true, initialPending: false, slots: Uint8Array.of(SlotState.Shown, SlotState.Hidden) };

function kind(over: Partial<Kind> = {}): Kind {
  const made: Kind = {
    isQuiet: false,
    connected: true,
    answers: { at: -Infinity, lateAt: -Infinity },
    trouble: new FeedTrouble(),
    state: { filled: true, subscriptions: [shown] },
    outage: undefined,
    provenAt: 0,
    proofAt: () => made.provenAt,
    ...over,
  };
  return made;
}

const forbidden = new UpstreamFailure('/api/v1/pods', { code: 403, reason: 'Forbidden', message: 'pods is forbidden' });
const broken = new UpstreamFailure('/apis/x/v1/ys', {
  code: 500,
  reason: 'InternalError',
  message: 'conversion webhook for x, Kind=Y failed',
});
const silent = new Error('it says nothing');
const unknown = new UnknownKindFailure('apps/v1/ys', {
  code: 404,
  reason: 'NotFound',
  message: 'the API server serves no resource ys in apps/v1',
});

/** Time passes; once a second all that fail fail again, and all others are heard. */
function pass(ms: number, fails: (each: Kind, at: number) => unknown = () => undefined): void {
  for (let done = 0; done < ms; done += 500) {
    now += 500;
    for (const each of kinds) {
      const error = fails(each, now);
      if (error === undefined) {
        each.trouble.worked('watch');
        each.provenAt = now;
      } else if (error !== 'deaf') each.trouble.failed('watch', error, now);
    }
    outages.observe(kinds, now, now + EPOCH, probedAt ?? now);
  }
}

const left = (): boolean[] => kinds.map(({ outage }) => outage !== undefined);

describe('a kind that fails while the others are well', () => {
  test.each([
    ['forbidden', forbidden, PATIENCE_MS.refused],
    ['failing', broken, PATIENCE_MS.failing],
    ['silent', silent, PATIENCE_MS.slow],
  ])('is left out after its patience: %s', (cause, error, patience) => {
    const one = kind({ state: undefined });
    kinds = [kind(), kind(), one];
    pass(30_000);
    const fails = (each: Kind): unknown => (each === one ? error : undefined);
    // The first failure is where its time begins.
    pass(patience, fails);
    expect(left()).toEqual([false, false, false]);
    pass(500, fails);
    expect(left()).toEqual([false, false, true]);
    expect(one.outage).toMatchObject({ cause, isMending: false, at: now + EPOCH - patience });
  });

  test('is told with the own sentence of the API server, and the remedy', () => {
    kinds = [kind(), kind({ state: undefined }), kind({ state: undefined })];
    pass(40_000, (each) => [undefined, forbidden, broken][kinds.indexOf(each)]);
    expect(kinds[1]?.outage?.problem).toBe(
      "pods is forbidden. Remedy: grant the worker's ServiceAccount get, list and watch on /api/v1/pods",
    );
    expect(kinds[2]?.outage?.problem).toMatch(/conversion webhook for x.*failed\. Remedy: restore the conversion/);
  });

  test('may fail in its lists only, and be followed well', () => {
    const one = kind();
    kinds = [kind(), one];
    pass(10_000);
    for (let i = 0; i < 10; i++) {
      one.trouble.failed('load', forbidden, now);
      pass(500);
    }
    expect(one.outage?.cause).toBe('forbidden');
  });

  test('because Kubernetes itself does not have it is left out at once', () => {
    kinds = [kind(), kind({ state: undefined })];
    pass(500, (each) => (each === kinds[1] ? unknown : undefined));
    expect(kinds[1]?.outage?.cause).toBe('not-served');
  });

  test('and works again in between is not left out', () => {
    const one = kind();
    kinds = [kind(), one];
    pass(30_000);
    pass(60_000, (each, at) => (each === one && at % 4_000 !== 0 ? forbidden : undefined));
    expect(left()).toEqual([false, false]);
  });

  test('is heard, not timed: nobody is judged while the process stalls', () => {
    const one = kind();
    kinds = [kind(), one];
    pass(30_000);
    pass(1_000, (each) => (each === one ? forbidden : undefined));
    now += 60_000;
    for (const each of kinds) each.provenAt = now;
    outages.observe(kinds, now, now, 0);
    expect(left()).toEqual([false, false]);
  });
});

describe('an open watch that hears nothing', () => {
  test('is left out while the others are heard', () => {
    const one = kind();
    kinds = [kind(), kind(), one];
    pass(20_000);
    pass(DEAF_MS, (each) => (each === one ? 'deaf' : undefined));
    expect(left()).toEqual([false, false, false]);
    pass(1_000, (each) => (each === one ? 'deaf' : undefined));
    expect(left()).toEqual([false, false, true]);
    expect(one.outage).toMatchObject({ cause: 'silent' });
  });

  test('is not judged while the API server answers nobody: other kinds may just be busy', () => {
    kinds = [kind(), kind(), kind()];
    pass(20_000);
    probedAt = now;
    pass(60_000, (each) => (each === kinds[0] ? undefined : 'deaf'));
    expect(left()).toEqual([false, false, false]);
  });

  test('is not judged before it was filled: it may be large', () => {
    kinds = [kind(), kind({ state: { filled: false, subscriptions: [] } })];
    pass(40_000, (each) => (each === kinds[1] ? 'deaf' : undefined));
    expect(left()).toEqual([false, false]);
  });
});

describe('an API server that is broken itself', () => {
  test('makes nobody be left out, however long it takes', () => {
    kinds = [kind(), kind(), kind()];
    pass(30_000);
    pass(300_000, () => silent);
    expect(left()).toEqual([false, false, false]);
  });

  test('and comes back kind by kind, has as much time from then on', () => {
    kinds = [kind(), kind(), kind(), kind()];
    pass(30_000);
    pass(60_000, () => forbidden);
    // One each 3 s; the slower half after most others.
    pass(9_000, (each, at) => (kinds.indexOf(each) * 3_000 < at - 190_000 ? undefined : forbidden));
    pass(20_000);
    expect(left()).toEqual([false, false, false, false]);
  });

  test('is told by watches that are cut, before any attempt to open them has failed', () => {
    kinds = [kind(), kind(), kind()];
    pass(30_000);
    for (const each of kinds) each.connected = false;
    pass(500);
    for (const each of kinds) each.connected = true;
    pass(RECOVERY_MS - 2_000, (each) => (each === kinds[0] ? forbidden : undefined));
    expect(left()).toEqual([false, false, false]);
  });

  test('is given time when it comes back, whatever it says of the slower kinds', () => {
    const one = kind();
    kinds = [kind(), kind(), one];
    pass(30_000);
    pass(20_000, () => silent);
    pass(RECOVERY_MS - 1_000, (each) => (each === one ? forbidden : undefined));
    expect(left()).toEqual([false, false, false]);
    pass(1_500, (each) => (each === one ? forbidden : undefined));
    expect(left()).toEqual([false, false, true]);
  });

  test('is given no time for a kind that it does not have', () => {
    const one = kind({ state: undefined });
    kinds = [kind(), kind(), kind()];
    pass(30_000);
    pass(20_000, () => silent);
    kinds.push(one);
    pass(500, (each) => (each === one ? unknown : silent));
    expect(left()).toEqual([false, false, false, true]);
  });

  test('leaves those left out that were before', () => {
    const one = kind({ state: undefined });
    kinds = [kind(), kind(), one];
    pass(30_000, (each) => (each === one ? forbidden : undefined));
    expect(left()).toEqual([false, false, true]);
    pass(30_000, () => silent);
    pass(1_000, (each) => (each === one ? forbidden : undefined));
    expect(left()).toEqual([false, false, true]);
    expect(one.outage?.cause).toBe('forbidden');
  });
});

describe('a kind that can be read again', () => {
  test.each([
    ['its list', { filled: false, subscriptions: [shown] }],
    ['a watch of the exporter', { filled: true, subscriptions: [] }],
    ['the first state', { filled: true, subscriptions: [{ ...shown, initialPending: true }] }],
    ['a slot', { filled: true, subscriptions: [{ ...shown, slots: Uint8Array.of(SlotState.Loading) }] }],
    ['an acknowledgement', { filled: true, subscriptions: [{ ...shown, slots: Uint8Array.of(SlotState.Sent) }] }],
  ] as const)('is mending until the exporter has %s, and whole then', (_, state) => {
    const one: Kind = kind({ state });
    kinds = [kind(), one];
    pass(30_000, (each) => (each === one ? forbidden : undefined));
    const since = one.outage?.since;
    pass(5_000);
    expect(one.outage).toMatchObject({ isMending: true, since });
    const whole = { ...one, state: { filled: true, subscriptions: [shown] } };
    kinds = [kind(), whole];
    pass(500);
    expect(whole.outage).toBeUndefined();
  });

  test('and fails once more is out at once', () => {
    const one = kind({ state: { filled: true, subscriptions: [] } });
    kinds = [kind(), one];
    pass(30_000, (each) => (each === one ? forbidden : undefined));
    pass(1_000);
    pass(500, (each) => (each === one ? broken : undefined));
    expect(one.outage).toMatchObject({ isMending: false, cause: 'failing' });
  });
});

test('CRDs are nobody’s kind', () => {
  kinds = [kind(), kind({ isQuiet: true })];
  pass(60_000, (each) => (each.isQuiet ? forbidden : undefined));
  expect(left()).toEqual([false, false]);
});
