import { createServer } from 'node:http';
import { portOf } from '@shard-controller/shared/listening';
import { createLogger } from '@shard-controller/shared/observability';
import { elapse, ManualClock, PATIENCE_MS } from '@shard-controller/shared/testing';
import { afterEach, expect, it } from 'vitest';
import type { FeedReport } from '../data-plane/inspection.ts';
import { feedReport } from '../testing/fixtures.ts';
import { SelfCheck } from './self-check.ts';

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

interface World {
  pods: number;
  shown: string | undefined;
  feed: FeedReport;
  scrapes: number;
}

/** A self-check in front of an exporter that shows as many pods as `show` says. */
async function checking(intervalMs = 300_000) {
  const world: World = { pods: 20, shown: 'all', feed: feedReport(), scrapes: 0 };
  const server = createServer((_request, response) => {
    world.scrapes++;
    response.end(`# HELP kube_pod_info x\n${'kube_pod_info{} 1\n'.repeat(world.pods)}`);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const port = portOf(server) ?? 0;
  const clock = new ManualClock();
  const lines: string[] = [];
  const changes: (string | undefined)[] = [];
  const check: SelfCheck = new SelfCheck({
    exporter: { host: '127.0.0.1', port },
    feeds: () => [world.feed],
    shown: () => world.shown,
    intervalMs,
    clock,
    logger: createLogger({ name: 'test', destination: { write: (line: string) => void lines.push(line) } }),
    onChange: () => changes.push(check.problem),
  });
  const stop = new AbortController();
  void check.run(stop.signal);
  cleanups.push(() => {
    stop.abort();
    server.closeAllConnections();
    server.close();
  });
  /** Lets time pass until the exporter was scraped `count` more times, and the answers were judged. */
  const scraped = async (count: number): Promise<void> => {
    const goal = world.scrapes + count;
    for (let i = 0; world.scrapes < goal; i++) {
      if (i > 2000) throw new Error(`no scrape ${goal}, there were ${world.scrapes}`);
      await clock.advance(1_000);
    }
    for (let i = 0; i < 20; i++) await elapse(1);
  };
  return { world, check, clock, lines, changes, scraped };
}

it('reports a difference that is seen twice, once, and says when it is gone', async () => {
  const { world, check, lines, changes, scraped } = await checking();
  await scraped(1);
  expect(check.problem).toBeUndefined();
  world.pods = 19;
  await scraped(1);
  expect(check.problem).toBeUndefined();
  await scraped(1);
  expect(check.mismatches).toEqual(new Map([['pods', -1]]));
  expect(check.problem).toMatch(/does not match what it was sent: pods$/);
  await scraped(2);
  const errors = lines.filter((line) => line.includes('"level":"error"') || line.includes('"level":50'));
  expect(errors).toHaveLength(1);
  expect(errors[0]).toMatch(/"objects":20,"series":19/);
  world.pods = 20;
  await scraped(1);
  expect([check.problem, check.mismatches.size]).toEqual([undefined, 0]);
  expect(changes).toEqual([expect.stringContaining('pods'), undefined]);
});

it('says nothing of a difference that passes, and keeps a known one while it cannot tell', async () => {
  const { world, check, changes, scraped } = await checking();
  world.pods = 19;
  await scraped(1);
  world.pods = 20;
  await scraped(1);
  expect(changes).toEqual([]);
  world.pods = 18;
  await scraped(2);
  expect(check.mismatches.get('pods')).toBe(-2);
  world.feed = feedReport({ queuedFrames: 5 });
  await scraped(1);
  expect(check.mismatches.get('pods')).toBe(-2);
});

it('checks soon after a load, at most once a minute, and not at all while the exposition is incomplete', async () => {
  const { world, clock, scraped } = await checking();
  await scraped(1);
  const first = clock.monotonic();
  world.shown = 'more';
  await scraped(1);
  const second = clock.monotonic();
  expect(second - first).toBeGreaterThanOrEqual(60_000);
  expect(second - first).toBeLessThan(90_000);
  await scraped(1);
  expect(clock.monotonic() - second).toBeGreaterThanOrEqual(290_000);
  world.shown = undefined;
  const { scrapes } = world;
  await clock.advance(1_000_000);
  expect(world.scrapes).toBe(scrapes);
});

it('answers when asked, also without a schedule', async () => {
  const { check, clock, world } = await checking(0);
  await clock.advance(1_000_000);
  expect(world.scrapes).toBe(0);
  const asked = check.now(AbortSignal.timeout(PATIENCE_MS));
  await clock.advance(6_000);
  expect(await asked).toEqual([{ resource: 'pods', verdict: 'equal', objects: 20, series: 20, reason: '' }]);
  expect(world.scrapes).toBe(1);
});
