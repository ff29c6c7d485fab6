import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  ALL_BUT_CONFIGMAPS,
  changed,
  FLAWLESS,
  namesConfigmaps,
  namesNothing,
  scale,
} from '../broken-kinds/usual-changes.ts';
import type { LoggedEvent } from '../demo/decision-log.ts';
import { CONFIG, Fleet, NAMESPACE, pause } from '../demo/fleet.ts';

const SEED = Number(process.env['E2E_SEED'] ?? 1);
/** The long form: a minute without NATS. */
const OUTAGE_MS = process.env['E2E_LONG'] === '1' ? 60_000 : 15_000;
const POD = `${CONFIG}-a-0`;
const SHARD = 'shard-000';

const say = (text: string): void => void process.stdout.write(`${text}\n`);

let fleet: Fleet;
let stop: (() => Promise<void>) | undefined;
const events: LoggedEvent[] = [];

beforeAll(async () => {
  say(`seed ${SEED} (E2E_SEED), ${OUTAGE_MS / 1000} s without NATS (E2E_LONG=1: a minute)`);
  fleet = await Fleet.start({ pods: 300, churn: 10, seed: SEED, fakeNodes: 10, shards: 3, say });
  stop = () => fleet.stop();
  fleet.log.onEvent((event) => {
    events.push(event);
    if (event.type === 'shard.health.changed.v1') say(`  ${JSON.stringify(event)}`);
  });
  fleet.churn.resume();
});

afterAll(async () => {
  await stop?.();
});

function node(): NonNullable<ReturnType<Fleet['cluster']['nodeOf']>> {
  const found = fleet.cluster.nodeOf(NAMESPACE, POD);
  if (found === undefined) throw new Error(`no node runs ${POD}`);
  return found;
}

const of = (...types: readonly string[]): readonly LoggedEvent[] => events.filter(({ type }) => types.includes(type));

/** Resolves with the first event from now on that `holds` for, and the time until then, ms. */
function next(holds: (event: LoggedEvent) => boolean): Promise<{ readonly event: LoggedEvent; readonly ms: number }> {
  const began = performance.now();
  return new Promise((resolve) => {
    const unsubscribe = fleet.log.onEvent((event) => {
      if (!holds(event)) return;
      unsubscribe();
      resolve({ event, ms: Math.round(performance.now() - began) });
    });
  });
}

const becomes =
  (health: string) =>
  (event: LoggedEvent): boolean =>
    event.type === 'shard.health.changed.v1' && event['shardId'] === SHARD && event['to'] === health;

/** Resolves when `count` ticks of the verifier in a row have found every expected series. */
async function whole(count: number): Promise<void> {
  let missingUntil = Number.NaN;
  let run = 0;
  await fleet.verifier.waitFor(
    'a complete union',
    (live) => {
      run = live.missingUntilMs === missingUntil && live.expected > 0 ? run + 1 : 0;
      missingUntil = live.missingUntilMs;
      return run >= count;
    },
    120_000,
  );
}

/** No series is missing over `act`, and none is doubled in the end. */
async function nothingAway(name: string, act: () => Promise<void>): Promise<void> {
  await fleet.verifier.startPhase(name, 'reference');
  await act();
  await whole(3);
  const { missingMax, doubledMax, doubledMs, doubledNow, samples, ticks } = await fleet.verifier.endPhase();
  say(`${name}: ${ticks} ticks, ${missingMax} series missing, ${doubledMax} doubled for ${Math.round(doubledMs)} ms`);
  expect({ missingMax, doubledNow, samples }).toEqual({ missingMax: 0, doubledNow: 0, samples: [] });
}

describe('a worker that loses NATS alone', () => {
  test('keeps its slots for as long as that lasts, and shows all of them', async () => {
    events.length = 0;
    const suspected = next(becomes('Suspect'));
    await nothingAway('packets to and from NATS are lost', async () => {
      await node().cutPod(POD, 'nats');
      const { ms } = await suspected;
      say(`suspected after ${ms} ms`);
      await pause(OUTAGE_MS);
      const heard = next(becomes('Healthy'));
      await node().healPod(POD, 'nats');
      await heard;
    });
    expect(of('shard.slots.assigned.v1', 'shard.migration.planned.v1')).toEqual([]);
    const ofShard = of('shard.health.changed.v1').filter(({ shardId }) => shardId === SHARD);
    expect(ofShard.map(({ to }) => to)).toEqual(['Suspect', 'Healthy']);
  });
});

describe('a worker that is wrongly believed lost', () => {
  test('costs doubled series until the new owners show them, and no missing one', async () => {
    events.length = 0;
    // Without the API server it would show nothing that is created meanwhile.
    await fleet.churn.pause();
    const failed = next(becomes('Failed'));
    const shown = next(({ type }) => type === 'shard.slots.shown.v1');
    await nothingAway('NATS and the API server are cut off, its scrapes go on', async () => {
      await Promise.all((['nats', 'api-server'] as const).map((peer) => node().cutPod(POD, peer)));
      const { ms, event } = await failed;
      say(`failed after ${ms} ms: ${JSON.stringify(event['evidence'])}`);
      await shown;
      await whole(3);
      const released = next(({ type }) => type === 'shard.release.confirmed.v1');
      await Promise.all((['nats', 'api-server'] as const).map((peer) => node().healPod(POD, peer)));
      await released;
      // It gets slots back as any other shard does, and shows some twice while they move.
      await fleet.converged(3, 120_000);
      await fleet.verifier.waitFor('nothing doubled', ({ doubledNow }) => doubledNow === 0, 120_000);
    });
    expect(of('shard.slots.assigned.v1').map(({ cause }) => cause)).toEqual(['failover']);
    fleet.churn.resume();
  });
});

/** A share of `broken-kinds`, here because the fleet is there. */
describe('a right that is taken away', () => {
  test('keeps no new worker from its slots, is named, and costs no series of another kind', async () => {
    await fleet.against(ALL_BUT_CONFIGMAPS, async (verifier) => {
      await fleet.grant('configmaps');
      expect(await changed(fleet, verifier, scale(4))).toMatchObject(FLAWLESS);
      await namesConfigmaps(fleet);
    });
    await fleet.grant();
    await namesNothing(fleet);
  });
});
