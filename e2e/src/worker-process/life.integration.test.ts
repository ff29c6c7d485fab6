import { slotsToRanges } from '@shard-controller/shared/hashing';
import { elapse } from '@shard-controller/shared/testing';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { assignment, namesIn, SLOT_COUNT, slots, WorkerFixture, type WorkerPod } from './worker-fixture.ts';

let fixture: WorkerFixture;
let uids: ReadonlyMap<string, string>;
const owned = slots(0, 128);

beforeAll(async () => {
  fixture = await WorkerFixture.start();
  uids = await fixture.createConfigMaps('map', 200);
});
afterEach(async () => {
  await fixture.endPods();
});
afterAll(async () => {
  await fixture?.stop();
});

async function readyPod(ordinal: number, env: Readonly<Record<string, string>> = {}): Promise<WorkerPod> {
  const shardId = `shard-${String(ordinal).padStart(3, '0')}`;
  await fixture.writeInstance(assignment(shardId, 1, owned));
  const pod = await fixture.pod({ ordinal, env });
  await pod.ready();
  return pod;
}

/** Scrapes without a pause until told to stop; keeps what each answered scrape showed. */
function scraping(pod: WorkerPod): { readonly shown: number[]; readonly refused: string[]; stop(): Promise<void> } {
  const shown: number[] = [];
  const refused: string[] = [];
  const end = new AbortController();
  const loop = (async () => {
    while (!end.signal.aborted) {
      try {
        const { status, text } = await pod.scrape();
        if (status === 200) shown.push(text.match(/^kube_configmap_info\{[^}]*configmap="map-/gm)?.length ?? 0);
        else refused.push(text);
      } catch {
        refused.push('no answer');
      }
      await elapse(10);
    }
  })();
  return {
    shown,
    refused,
    stop: async () => {
      end.abort();
      await loop;
    },
  };
}

describe('the end of a worker', () => {
  it('comes at once when it has no slots', async () => {
    await fixture.writeInstance(assignment('shard-010', 1, []));
    const pod = await fixture.pod({ ordinal: 10 });
    await pod.ready();
    pod.worker.signal('SIGTERM');
    expect(await pod.worker.exit).toBe(0);
    expect(pod.worker.output).not.toContain('drain time-out');
  });

  it('waits until the manager has moved the slots away, and serves meanwhile; so does the exporter', async () => {
    const pod = await readyPod(11);
    const heard = fixture.heartbeats('shard-011');
    let hook: string | undefined;
    void pod.health('/drain/wait').then(({ text }) => (hook = text));
    pod.worker.signal('SIGTERM');
    await pod.eventually(async () => (heard.at(-1)?.phase === 'Draining' ? undefined : `${heard.at(-1)?.phase}`));
    await elapse(1000);
    expect(await pod.configMaps('map')).toEqual(namesIn(uids, owned));
    await expect.poll(() => heard.at(-1)?.gateway.state).toBe('draining');
    expect(hook).toBeUndefined();
    const released = slotsToRanges(owned, SLOT_COUNT).map((range) => ({ ...range, migration: 'm1' }));
    await fixture.writeInstance(assignment('shard-011', 2, [], { releaseRanges: released }));
    expect(await pod.worker.exit).toBe(0);
    await expect.poll(() => hook).toBe('drained\n');
    await expect.poll(() => heard.at(-1)?.phase).toBe('Terminated');
    await expect.poll(() => pod.worker.output).toMatch(/drained: no slot depends on this worker/);
  });

  it('comes when the time to drain is over', async () => {
    const pod = await readyPod(12, { DRAIN_TIMEOUT_MS: '1500' });
    const began = performance.now();
    pod.worker.signal('SIGTERM');
    expect(await pod.worker.exit).toBe(0);
    expect(performance.now() - began).toBeGreaterThan(1400);
    await expect.poll(() => pod.worker.output).toMatch(/drain time-out/);
  });
});

describe('the end of a worker whose ShardConfig is over', () => {
  const end = async (pod: WorkerPod): Promise<number> => {
    const began = performance.now();
    pod.worker.signal('SIGTERM');
    expect(await pod.worker.exit).toBe(0);
    return performance.now() - began;
  };

  it('is no reason to hurry when only its ShardInstance is gone: the manager re-creates it', async () => {
    const pod = await readyPod(20, { DRAIN_TIMEOUT_MS: '6000' });
    await fixture.deleteInstance('shard-020');
    await pod.eventually(async () => (pod.worker.output.includes('ShardInstance is gone') ? undefined : 'not seen'));
    expect(await end(pod)).toBeGreaterThan(5900);
    expect(pod.worker.output).toMatch(/drain time-out/);
  });

  it('comes at once, with its exporter’s, when the ShardConfig is gone; one made again is another one', async () => {
    const pods = [await readyPod(21), await readyPod(22)];
    const [first, second] = pods;
    if (first === undefined || second === undefined) throw new Error('no pods');
    await fixture.deleteConfig();
    try {
      const hook = first.health('/drain/wait');
      expect(await end(first)).toBeLessThan(60_000);
      expect((await hook).text).toBe('drained\n');
      expect(first.worker.output).toMatch(/no worker can take the slots: ShardConfig default\/main is gone/);
    } finally {
      await fixture.createConfig();
    }
    expect(await end(second)).toBeLessThan(60_000);
    expect(second.worker.output).toMatch(/was deleted and re-created/);
  });
});

describe('a worker that has stalled', () => {
  it('answers no scrape until its assignment was read again', async () => {
    const pod = await readyPod(13, { SCRAPE_HOLD_MS: '60000' });
    pod.worker.signal('SIGSTOP');
    await elapse(3600);
    await fixture.apiServer.pause();
    const held = pod.scrape();
    const resumed = performance.now();
    pod.worker.signal('SIGCONT');
    setTimeout(() => fixture.apiServer.resume(), 700);
    expect((await held).status).toBe(200);
    expect(performance.now() - resumed).toBeGreaterThan(650);
    await expect.poll(() => pod.worker.output).toMatch(/had stalled/);
    await expect.poll(() => pod.worker.output).toMatch(/assignment read after the stall/);
    await expect
      .poll(async () => (await pod.health('/metrics')).text)
      .toContain('shard_controller_worker_stalls_total 1\n');
  });

  it('serves again after 2 s when nothing answers', async () => {
    const pod = await readyPod(14, { SCRAPE_HOLD_MS: '60000' });
    await fixture.apiServer.pause();
    try {
      pod.worker.signal('SIGSTOP');
      await elapse(3600);
      const held = pod.scrape();
      const resumed = performance.now();
      pod.worker.signal('SIGCONT');
      expect((await held).status).toBe(200);
      expect(performance.now() - resumed).toBeGreaterThan(1900);
    } finally {
      fixture.apiServer.resume();
    }
  });
});

describe('a worker and its exporter', () => {
  it('shows all of its objects or waits while the exporter restarts within the time that a scrape is held', async () => {
    const pod = await readyPod(18, { SCRAPE_HOLD_MS: '60000' });
    const scrapes = scraping(pod);
    await expect.poll(() => scrapes.shown.length).toBeGreaterThan(5);
    await pod.killExporter();
    pod.startExporter();
    const before = scrapes.shown.length;
    await expect.poll(() => scrapes.shown.length).toBeGreaterThan(before + 5);
    await scrapes.stop();
    expect(scrapes.refused).toEqual([]);
    expect(new Set(scrapes.shown)).toEqual(new Set([namesIn(uids, owned).length]));
  });

  it('never shows a part of its objects while the exporter is away', async () => {
    const pod = await readyPod(15);
    const all = namesIn(uids, owned).length;
    const scrapes = scraping(pod);
    await elapse(300);
    await pod.killExporter();
    await pod.eventually(async () => (scrapes.refused.length > 0 ? undefined : 'no scrape was refused'));
    pod.startExporter();
    const before = scrapes.shown.length;
    await pod.eventually(async () => (scrapes.shown.length > before + 5 ? undefined : scrapes.refused.at(-1)));
    await scrapes.stop();
    expect(new Set(scrapes.shown)).toEqual(new Set([all]));
    expect(scrapes.refused[0]).toMatch(/kube-state-metrics/);
  });

  it('comes back under a living exporter without hiding a series for longer than it is away', async () => {
    const pod = await readyPod(16);
    const all = namesIn(uids, owned).length;
    const scrapes = scraping(pod);
    await elapse(300);
    await pod.worker.kill();
    pod.startWorker();
    await pod.ready();
    const before = scrapes.shown.length;
    await pod.eventually(async () => (scrapes.shown.length > before + 5 ? undefined : scrapes.refused.at(-1)));
    await scrapes.stop();
    expect(new Set(scrapes.shown)).toEqual(new Set([all]));
  });

  it('comes back under an exporter that had not shown everything: scrapes wait until it has', async () => {
    const pod = await readyPod(17);
    await pod.worker.kill();
    await fixture.writeStatus(pod.shardId, {
      replicas: [{ replica: 'a', pod: 'main-a-17', phase: 'Warming', gateway: 'warming: not rendered yet' }],
    });
    const heard = fixture.heartbeats(pod.shardId);
    const scrapes = scraping(pod);
    pod.startWorker();
    await pod.eventually(async () => (scrapes.shown.length > 0 ? undefined : `refused: ${scrapes.refused.at(-1)}`));
    await scrapes.stop();
    expect(scrapes.refused.join()).toContain('the exporter is opening its watches');
    expect(new Set(scrapes.shown)).toEqual(new Set([namesIn(uids, owned).length]));
    await expect.poll(() => heard.at(-1)).toMatchObject({ phase: 'Running', slots: { acknowledged: owned.length } });
  });
});
