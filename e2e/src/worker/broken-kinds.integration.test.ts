import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import type { Exchange, Fault } from '../faults/faulty-front.ts';
import { CUSTOM_GROUP, WIDGET_DEFINITION } from '../workload/index.ts';
import { slots, WorkerRig } from './exporter-rig.ts';
import { isWarm, NONE, NOTHING, notes, unavailable, WorkerPair } from './worker-pair.ts';

/** The long form waits for what takes its time: a kind that says nothing, a restart of the API server, a new worker. */
const LONG = process.env['E2E_LONG'] === '1';
const WIDGETS = `widgets.${CUSTOM_GROUP}`;
const WIDGET_LIST = `/apis/${CUSTOM_GROUP}/v1/widgets`;
const DEFINITIONS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const DEFINITION = `${DEFINITIONS}/${WIDGET_DEFINITION.metadata.name}`;

let pair: WorkerPair;
let left: WorkerRig;
let right: WorkerRig;

beforeAll(async () => {
  pair = await WorkerPair.start();
  ({ left, right } = pair);
});

afterAll(async () => {
  await pair?.stop();
});

test('two workers show what one exporter shows', async () => {
  await expect.poll(() => pair.difference()).toEqual(NONE);
});

const CONFIGMAPS = /^kube_configmap_/;

test.runIf(LONG)(
  'a right that is taken away costs its kind only: moves, a new worker, restarts; given back, it mends',
  async () => {
    await pair.grant('configmaps');
    await pair.until('the right is gone', async () => !(await pair.canList('/api/v1/configmaps')));
    const noted = notes(left, right);
    const lost = await pair.withChurn(() =>
      pair.lost(async () => {
        // Its open watch goes on: only the move meets the refusal.
        expect(await pair.move(left, right)).toMatchObject({ without: 1 });
        expect(right.plane.status().unavailable).toMatchObject([
          {
            kind: 'configmaps',
            cause: 'forbidden',
            message: expect.stringMatching(
              /^configmaps .*is forbidden: User "worker" cannot .*Remedy: grant .*get, list/,
            ),
          },
        ]);
        expect(await pair.move(right, left)).toMatchObject({ without: 1 });
      }, CONFIGMAPS),
    );
    expect(lost).toMatchObject(NOTHING);
    expect(noted.cold).toEqual([]);
    noted.stop();
    // A restart of the API server, which refuses everything for a moment, leaves no other kind out.
    const lostByRestart = await pair.lost(async () => {
      expect(await pair.move(left, right, () => pair.api.restart())).toMatchObject({ without: 1 });
      await pair.move(right, left);
    }, CONFIGMAPS);
    expect(lostByRestart).toMatchObject(NOTHING);
    expect([unavailable(left), unavailable(right)]).toEqual([['configmaps: forbidden'], ['configmaps: forbidden']]);

    const fresh = await WorkerRig.create('fresh', pair.access);
    try {
      fresh.startPlane();
      fresh.assign({ epoch: pair.nextEpoch, owned: slots(0, 64) });
      await fresh.startExporter();
      await pair.until('a worker that never could read it is warm', () => isWarm(fresh));
      expect(unavailable(fresh)).toEqual(['configmaps: forbidden']);
      expect((await fresh.exporter.series()).some((line) => line.startsWith('kube_pod_info'))).toBe(true);
      // Its exporter lists configmaps from nothing again and again, which says nothing of its other kinds.
      const before = fresh.plane.status().unavailable ?? [];
      await fresh.stopPlane();
      fresh.startPlane();
      fresh.plane.presumeUnavailable(before);
      fresh.assign({ epoch: pair.nextEpoch, owned: slots(0, 64) });
      await pair.until('a restarted worker is warm', () => fresh.plane.status().warm);
      const after = notes(fresh);
      await pair.until('all slots are acknowledged', () => isWarm(fresh));
      expect(after.cold.filter((text) => !text.startsWith(' '))).toEqual([]);
      after.stop();

      await pair.grant();
      await pair.nothingIsLeftOut();
      await pair.until('the new worker shows it', () => unavailable(fresh).length === 0);
      expect((await fresh.exporter.series()).some((line) => CONFIGMAPS.test(line))).toBe(true);
    } finally {
      await fresh.stop();
    }
    await expect.poll(() => pair.difference()).toEqual(NONE);
  },
);

const SERVICES = /^kube_service_/;

test.runIf(LONG)('a kind that is silent costs that kind only, and comes back', async () => {
  const held: Exchange[] = [];
  const deaf: Fault = {
    name: 'deaf',
    begin: ({ streams }) => {
      for (const stream of streams) if (stream.path === '/api/v1/services') stream.hold();
    },
    take: (exchange) => {
      if (!/\/services(\/|$)/.test(exchange.url.pathname)) return false;
      held.push(exchange);
      return true;
    },
    end: ({ streams }) => {
      for (const exchange of held) exchange.reset();
      for (const stream of streams) if (stream.path === '/api/v1/services') stream.reset();
    },
  };
  await pair.front.inject(deaf);
  try {
    const lost = await pair.lost(async () => {
      const noted = notes(left, right);
      expect(await pair.move(left, right)).toMatchObject({ without: 1 });
      expect(unavailable(right)).toEqual(['services: silent']);
      await pair.move(right, left);
      expect(noted.cold).toEqual([]);
      noted.stop();
    }, SERVICES);
    expect(lost).toMatchObject(NOTHING);
  } finally {
    await pair.front.lift(deaf);
  }
  await pair.nothingIsLeftOut();
  await expect.poll(() => pair.difference()).toEqual(NONE);
});

const MERGE = { contentType: 'application/merge-patch+json' } as const;
const WIDGET_SERIES = /^kube_customresource_/;

/** Stores all widgets in another version than the exporter reads, so that their conversion can break. */
async function storeInAnotherVersion(): Promise<void> {
  const [first] = WIDGET_DEFINITION.spec.versions;
  const versions = [
    { ...first, storage: false },
    { ...first, name: 'v2', storage: true },
  ];
  await pair.client.patch(DEFINITION, { spec: { versions } }, MERGE);
  await pair.until('the new version is served', () => pair.canList(`/apis/${CUSTOM_GROUP}/v2/widgets`));
  const named = z.looseObject({ metadata: z.looseObject({ namespace: z.string(), name: z.string() }) });
  const { items } = await pair.client.list(WIDGET_LIST);
  for (const item of items) {
    const { namespace, name } = named.parse(item).metadata;
    const path = `/apis/${CUSTOM_GROUP}/v1/namespaces/${namespace}/widgets/${name}`;
    await pair.client.patch(path, { metadata: { annotations: { stored: 'again' } } }, MERGE);
  }
}

test('a conversion webhook that is gone costs its kind only, and comes back', async () => {
  await storeInAnotherVersion();
  await pair.bothAreWarm();
  const webhook = { clientConfig: { url: 'https://127.0.0.1:1/convert' }, conversionReviewVersions: ['v1'] };
  await pair.client.patch(DEFINITION, { spec: { conversion: { strategy: 'Webhook', webhook } } }, MERGE);
  try {
    // A moment of it comes with any change of a definition.
    let failed = 0;
    await pair.until('the kind cannot be listed any more', async () => {
      failed = (await pair.canList(WIDGET_LIST)) ? 0 : failed + 1;
      return failed >= 20;
    });
    expect(await pair.move(left, right)).toMatchObject({ without: 1 });
    expect(right.plane.status().unavailable).toMatchObject([
      { kind: WIDGETS, cause: 'failing', message: expect.stringContaining('conversion webhook') },
    ]);
    await pair.move(right, left);
    await pair.bothAreWarm();
    await expect.poll(() => pair.difference(WIDGET_SERIES)).toEqual(NONE);
  } finally {
    // What the next test deletes has to be readable.
    await pair.client.patch(DEFINITION, { spec: { conversion: { strategy: 'None', webhook: null } } }, MERGE);
  }
  await pair.nothingIsLeftOut();
  await expect.poll(() => pair.difference()).toEqual(NONE);
});

test('a kind whose definition is deleted costs that kind only', async () => {
  await pair.client.delete(DEFINITION);
  await pair.until('the kind is gone', async () => !(await pair.canList(WIDGET_LIST)));
  await pair.move(left, right);
  await pair.move(right, left);
  await pair.bothAreWarm();
  await expect.poll(() => pair.difference()).toEqual(NONE);
});
