import type { KubernetesClient } from '@shard-controller/shared/kubernetes';
import { createLogger } from '@shard-controller/shared/observability';
import { elapse } from '@shard-controller/shared/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startApiServer, type StandaloneApiServer } from '../cluster/standalone-api-server.ts';
import { clientOf } from '../worker/exporter-rig.ts';
import { BAR, definition, FOO, GOLDEN_GROUP, LATE } from './custom-kinds.ts';
import { EVERYTHING } from './golden-cases.ts';
import { API_SERVER_ARGS, GoldenCluster } from './golden-cluster.ts';
import { EQUAL, GoldenFleet } from './golden-fleet.ts';
import { OpenScrapes } from './open-scrapes.ts';

const DEFINITIONS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
/** kube-state-metrics looks for news of definitions every 3 s. */
const TWO_LOOKS_MS = 6_200;

let api: StandaloneApiServer;
let client: KubernetesClient;
let fleet: GoldenFleet;

const received = (): number => Math.min(...fleet.workers.map(({ definitions }) => definitions.received));
const kept = (): number[] => fleet.workers.map(({ definitions }) => definitions.kept);
const requests = (): string[] => fleet.workers.flatMap((worker) => worker.requests);

async function expectEqual(): Promise<void> {
  await expect.poll(() => fleet.isWarm()).toBe(true);
  await expect.poll(() => fleet.difference()).toEqual(EQUAL);
}

/** Does `change`, and waits until every worker has heard of it. */
async function heard(change: () => Promise<unknown>): Promise<void> {
  const before = received();
  await change();
  await expect.poll(received).toBeGreaterThan(before);
}

/** Creates, changes and deletes a definition that no config names. */
async function passBy(stranger: ReturnType<typeof definition>, changed: ReturnType<typeof definition>): Promise<void> {
  const path = `${DEFINITIONS}/${stranger.metadata.name}`;
  await heard(() => client.create(DEFINITIONS, stranger));
  await heard(() => client.patch(path, { spec: changed.spec }));
  await heard(() => client.delete(path));
}

/** Notes workers that would answer a scrape although their exporter has been told and has not asked for anything yet. */
class TooEarly {
  readonly #workers = new Set<number>();
  readonly #timer: NodeJS.Timeout;

  constructor({ workers }: GoldenFleet, told: number) {
    const asked = workers.map((worker) => worker.requests.length);
    this.#timer = setInterval(() => {
      for (const [i, worker] of workers.entries()) {
        const isWaiting = worker.definitions.kept > told && worker.requests.length === asked[i];
        if (isWaiting && worker.plane.status().warm) this.#workers.add(i);
      }
    }, 5);
  }

  stop(): number[] {
    clearInterval(this.#timer);
    return [...this.#workers];
  }
}

beforeAll(async () => {
  api = await startApiServer({ extraArgs: API_SERVER_ARGS });
  client = clientOf(api, createLogger({ name: 'golden', level: 'warn' }), 'golden');
  await GoldenCluster.populated(client);
  fleet = await GoldenFleet.start(api, { ...EVERYTHING, workers: 2 });
});

afterAll(async () => {
  await fleet?.stop();
  await client?.close();
  await api?.stop();
});

describe('with custom-resource-state on', () => {
  test('definitions that it does not name, or whose change means nothing to it, cause no request and hide no series', async () => {
    await expectEqual();
    const series = await fleet.reference.series();
    const asked = requests().length;
    const scrapes = new OpenScrapes(fleet, series);
    const group = 'unrelated.example.com';
    const names = { kind: 'Gadget', plural: 'gadgets', scope: 'Namespaced' } as const;
    const more = { versions: ['v1', 'v2'], columns: ['size'] };
    await passBy(definition({ ...names, group }), definition({ ...names, group, ...more }));
    await passBy(definition(names), definition({ ...names, ...more }));
    // Of a kind that it names: a schema with a column more, and an annotation.
    const foo = definition({ kind: 'Foo', plural: 'foos', scope: 'Namespaced', columns: ['size'] });
    await heard(() => client.patch(`${DEFINITIONS}/${FOO.metadata.name}`, { spec: foo.spec }));
    await heard(() =>
      client.patch(`${DEFINITIONS}/${BAR.metadata.name}`, { metadata: { annotations: { 'example.com/a': 'b' } } }),
    );
    await elapse(TWO_LOOKS_MS);
    const report = await scrapes.stop();
    console.log(
      `definitions: ${report.open} scrapes of ${series.length} series, ${requests().length - asked} requests`,
    );
    expect(report).toMatchObject({ missingMax: 0, examples: [], closedMs: 0 });
    expect(report.open).toBeGreaterThan(20);
    expect(requests().slice(asked)).toEqual([]);
    // The definitions of the first list, and nothing since.
    expect(kept()).toEqual([2, 2]);
  });

  test('a kind that it names appears and goes: what is scraped meanwhile is complete', async () => {
    await expectEqual();
    const series = await fleet.reference.series();
    const told = kept();
    const scrapes = new OpenScrapes(fleet, series);
    const early = new TooEarly(fleet, 2);
    const lates = `/apis/${GOLDEN_GROUP}/v1/namespaces/alpha/lates`;
    await client.create(DEFINITIONS, LATE);
    await expect.poll(() => client.find(lates)).toBeDefined();
    for (let i = 0; i < 10; i++) {
      const metadata = { name: `late-${i}` };
      await client.create(lates, { apiVersion: `${GOLDEN_GROUP}/v1`, kind: 'Late', metadata, spec: { size: i } });
    }
    const shown = async (): Promise<number> => {
      const lines = await Promise.all(fleet.workers.map(({ exporter }) => exporter.series()));
      return lines.flat().filter((line) => line.startsWith('golden_late_size{')).length;
    };
    await expect.poll(shown).toBe(10);
    await expectEqual();
    const appeared = await scrapes.stop();
    console.log(`definitions: a kind appeared: closed for ${appeared.closedMs} ms, ${appeared.open} scrapes`);
    expect(appeared).toMatchObject({ missingMax: 0, examples: [] });
    expect(early.stop()).toEqual([]);
    // One event each, not one per condition that the API server sets.
    expect(kept()).toEqual(told.map((count) => count + 1));

    const leaving = new OpenScrapes(fleet, series);
    await client.delete(`${DEFINITIONS}/${LATE.metadata.name}`);
    await expect.poll(shown).toBe(0);
    await expectEqual();
    const left = await leaving.stop();
    console.log(`definitions: a kind went: closed for ${left.closedMs} ms, ${left.open} scrapes`);
    expect(left).toMatchObject({ missingMax: 0, examples: [] });
  });
});
