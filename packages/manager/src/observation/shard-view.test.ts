import type { Heartbeat, Scraper, WorkerAddress } from '@shard-controller/shared/contracts';
import { describe, expect, it } from 'vitest';
import { defaultSettings } from '../aggregate/index.ts';
import { healthBounds } from '../health-monitor/index.ts';
import { heartbeatOf } from '../testing/index.ts';
import { hasShown } from './shard-view.ts';
import { WorkerRegistry } from './worker-registry.ts';

const address: WorkerAddress = { namespace: 'monitoring', config: 'main', shardId: 'shard-000', replica: 'a' };
const { handover } = defaultSettings;
const bounds = healthBounds(2_000);

/** A worker that says these things one second after the other; its clock is 1,000,000 ms ahead of the manager's. */
function told(...heartbeats: Partial<Heartbeat>[]) {
  const registry = new WorkerRegistry();
  heartbeats.forEach((over, i) => {
    registry.heard(address, heartbeatOf({ sequence: i + 1, sentAt: 1_000_000 + i * 1_000, ...over }), i * 1_000);
  });
  const worker = registry.view(address, 'uid-1');
  const sources = { worker, ping: 'none', listeningSince: 0, pod: undefined } as const;
  const now = (heartbeats.length - 1) * 1_000;
  return (laterMs = 0) =>
    hasShown(
      { ...sources, instanceStatusAt: undefined, instanceReadAt: undefined },
      handover,
      { ...bounds, suspectMs: bounds.suspectMs + laterMs },
      now + laterMs,
    );
}

const scraped = (...scrapers: Scraper[]): Pick<Heartbeat, 'gateway'> => ({
  gateway: { state: 'serving', reason: '', scrapers },
});
/** A scrape that began so many ms after the worker's first heartbeat. */
const from = (ms: number): Scraper => ({ id: 'prometheus', lastStart: 1_000_000 + ms, lastEnd: 1_000_000 + ms + 1 });

describe('a worker shows what it was given', () => {
  it('once all slots of its assignment are acknowledged, and not before', () => {
    expect(told({ slots: { assigned: 5, acknowledged: 4 } })()).toBe(false);
    expect(told({ phase: 'Warming' })()).toBe(false);
    expect(told({})()).toBe(true);
    expect(told({ phase: 'Draining' })()).toBe(true);
  });

  it('and whoever reads it has read it since', () => {
    const more = { epoch: 4, slots: { assigned: 9, acknowledged: 9 } };
    expect(told(scraped(from(-500)), { ...more, ...scraped(from(-500)) })()).toBe(false);
    expect(told(scraped(from(-500)), { ...more, ...scraped(from(900)) })()).toBe(false);
    expect(told(scraped(from(-500)), more, { ...more, ...scraped(from(1_100)) })()).toBe(true);
  });

  it('or has not come for the longest overlap', () => {
    const never = told(scraped(from(-500)));
    expect(never(handover.maxOverlapMs - 1)).toBe(false);
    expect(never(handover.maxOverlapMs)).toBe(true);
  });

  it('only while it is heard', () => {
    const worker = told({});
    expect(worker()).toBe(true);
    const silent = { worker: undefined, ping: 'none', listeningSince: 0, pod: undefined } as const;
    expect(
      hasShown({ ...silent, instanceStatusAt: undefined, instanceReadAt: undefined }, handover, bounds, 5_000),
    ).toBe(false);
  });
});
