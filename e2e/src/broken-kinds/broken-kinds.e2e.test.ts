import { waitUntil } from '@shard-controller/shared/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Fleet, NAMESPACE } from '../demo/fleet.ts';
import { CUSTOM_GROUP, KINDS, pathOf, WIDGET_DEFINITION } from '../workload/index.ts';
import type { ComparisonOutcome, VerifierProcess } from '../verifier/index.ts';
import {
  ALL_BUT_CONFIGMAPS,
  changed,
  FLAWLESS,
  namesConfigmaps,
  namesNothing,
  type Outcome,
  USUAL_CHANGES,
  type UsualChange,
} from './usual-changes.ts';

/** Minutes: `E2E_LONG=1 make e2e`. A share of it, one step, is in the false alarms. */
const LONG = process.env['E2E_LONG'] === '1';
const SEED = Number(process.env['E2E_SEED'] ?? 1);
const SHARDS = 3;
const DEFINITION = `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${WIDGET_DEFINITION.metadata.name}`;
/** Prometheus' own default: while kube-state-metrics rebuilds its stores, scrapes are delayed. */
const SCRAPE_TIMEOUT_MS = 10_000;

const say = (text: string): void => void process.stdout.write(`${text}\n`);

let fleet: Fleet;
let stop: (() => Promise<void>) | undefined;
/** How long each change took with all kinds, ms. */
const usual = new Map<string, number>();

beforeAll(async () => {
  if (!LONG) return;
  fleet = await Fleet.start({ pods: 300, churn: 10, seed: SEED, fakeNodes: 10, shards: SHARDS, say });
  stop = () => fleet.stop();
  fleet.churn.resume();
});

afterAll(async () => {
  await stop?.();
});

/** Makes the change, and tells its time as a part of the usual one. */
async function changedAsUsual(verifier: VerifierProcess, change: UsualChange): Promise<Outcome> {
  const outcome = await changed(fleet, verifier, change);
  const usualMs = usual.get(change.name);
  if (usualMs !== undefined) {
    say(`${change.name}: ${(outcome.ms / usualMs).toFixed(2)} of the usual time (1.50 wanted)`);
  }
  return outcome;
}

/** How the workers' series, values included, compare with those of the reference, which may read everything. */
async function asReference(): Promise<ComparisonOutcome> {
  await fleet.churn.pause();
  const outcome = await fleet.verifier.compare();
  fleet.churn.resume();
  return outcome;
}

describe.runIf(LONG)('a fleet of which one kind breaks', () => {
  test('makes the usual changes in the usual time', async () => {
    for (const change of USUAL_CHANGES) {
      const outcome = await changed(fleet, fleet.verifier, change);
      expect(outcome).toMatchObject(FLAWLESS);
      usual.set(change.name, outcome.ms);
    }
  });

  test('makes them as well without a right: the kind is named, nothing of the others is missing', async () => {
    await fleet.against(ALL_BUT_CONFIGMAPS, async (verifier) => {
      await fleet.grant('configmaps');
      // Before anything changes: their open watches go on, and would for minutes.
      await namesConfigmaps(fleet);
      for (const change of USUAL_CHANGES) {
        expect(await changedAsUsual(verifier, change)).toMatchObject(FLAWLESS);
        await namesConfigmaps(fleet);
      }
    });
  });

  test('exports the kind again by itself when the right is given back', async () => {
    await fleet.grant();
    await namesNothing(fleet);
    expect(await asReference()).toMatchObject({ equal: true });
  });

  test('makes them as well when a definition is deleted, and exports its kind again when it is back', async () => {
    const withoutIt = { customResourceState: '' };
    await fleet.against(
      withoutIt,
      async (verifier) => {
        const gone = { name: 'a definition is deleted', act: deleteDefinition };
        const back = { name: 'it is made again', act: makeDefinition };
        for (const change of [gone, ...USUAL_CHANGES, back]) {
          expect(await changedAsUsual(verifier, change)).toMatchObject(FLAWLESS);
        }
      },
      SCRAPE_TIMEOUT_MS,
    );
    await namesNothing(fleet);
    expect(await asReference()).toMatchObject({ equal: true });
  });
});

/** Resolves when no worker shows the kind any more. */
async function deleteDefinition(): Promise<void> {
  await fleet.cluster.admin.delete(DEFINITION);
  await waitUntil('no worker shows it', async () => (await widgetSeries()).every((count) => count === 0));
}

/** Resolves when its objects are exported again. */
async function makeDefinition(): Promise<void> {
  await fleet.workload.define();
  const kind = KINDS.find(({ apiVersion }) => apiVersion.startsWith(CUSTOM_GROUP));
  if (kind === undefined) throw new Error('the workload has no custom resource');
  for (let i = 0; i < 20; i++) {
    const object = { ...kind.body(i), apiVersion: kind.apiVersion, kind: kind.kind, metadata: { name: `again-${i}` } };
    await fleet.cluster.admin.create(pathOf(kind, 'team-0'), object);
  }
  await waitUntil('the workers show it', async () => (await widgetSeries()).reduce((sum, each) => sum + each, 0) >= 40);
}

/** Series of widgets by worker; NaN where it could not be scraped. */
async function widgetSeries(): Promise<readonly number[]> {
  const workers = await fleet.workers();
  return Promise.all(
    workers.map(async ({ metadata: { name } }) => {
      const answer = await fetch(`http://${fleet.cluster.nodeOf(NAMESPACE, name)?.podIp(name)}:8080/metrics`);
      const lines = (await answer.text()).split('\n');
      return answer.ok ? lines.filter((line) => line.startsWith('kube_customresource_')).length : Number.NaN;
    }),
  );
}
