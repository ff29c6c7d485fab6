import { createLogger } from '@shard-controller/shared/observability';
import type { KubernetesClient } from '@shard-controller/shared/kubernetes';
import { elapse, waitUntil } from '@shard-controller/shared/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startApiServer, type StandaloneApiServer } from '../cluster/standalone-api-server.ts';
import { Churn, Random, Workload } from '../workload/index.ts';
import { clientOf, Exporter, kubeconfigOf, slots, WorkerRig } from './exporter-rig.ts';
import { SwitchingForwarder } from './switching-forwarder.ts';
import { release } from './verified-move.ts';

const SLOTS = 256;
const MOVES = Number(process.env['MOVES'] ?? 40);
const SEED = Number(process.env['MOVES_SEED'] ?? Date.now() % 1_000_000);
/** Moves between two comparisons with the reference. */
const ROUND = 10;
const random = new Random(SEED);

let api: StandaloneApiServer;
let narrowing: string;
let plain: string;
let forwarder: SwitchingForwarder;
let client: KubernetesClient;
let workload: Workload;
let reference: Exporter;
let sides: readonly [Side, Side];
let epoch = 0;
let moves = 0;

/** A worker with what it was told last. */
class Side {
  readonly rig: WorkerRig;
  readonly owned: Set<number>;
  readonly warm = new Map<string, readonly number[]>();
  readonly release = new Map<string, readonly number[]>();

  constructor(rig: WorkerRig, owned: readonly number[]) {
    this.rig = rig;
    this.owned = new Set(owned);
  }

  apply(): void {
    const list = (of: ReadonlyMap<string, readonly number[]>) =>
      Array.from(of, ([migration, moving]) => ({ migration, slots: moving }));
    this.rig.assign({
      epoch: ++epoch,
      owned: [...this.owned].sort((a, b) => a - b),
      warm: list(this.warm),
      release: list(this.release),
    });
  }

  async reaches(migration: string, state: string): Promise<void> {
    const handover = (): string | undefined =>
      this.rig.plane.status().handovers.find((each) => each.migration === migration)?.state;
    await waitUntil(`${migration} is ${state}, seed ${SEED}`, () => handover() === state, { everyMs: 5 });
  }

  /** Takes slots back from the exporter, and resolves when they are gone: `other` has them now. */
  async drop(migration: string, moving: readonly number[], other: Side): Promise<void> {
    this.release.set(migration, moving);
    this.apply();
    await release(this.rig.plane, other.rig.plane, moving, migration);
    this.release.delete(migration);
    this.apply();
  }
}

/** Slots of the source that the target is not about to drop: one, half of them, or some number between. */
function choose(source: Side, target: Side): number[] {
  const dropping = new Set([...target.release.values()].flat());
  const free = [...source.owned].filter((slot) => !dropping.has(slot));
  const most = Math.max(1, Math.min(free.length - 1, SLOTS / 2));
  const count = [1, most, 1 + Math.floor(random.next() * most)][Math.floor(random.next() * 3)] ?? 1;
  const chosen: number[] = [];
  while (chosen.length < count && free.length > 1) {
    chosen.push(...free.splice(Math.floor(random.next() * free.length), 1));
  }
  return chosen.sort((a, b) => a - b);
}

/** Returns what is still under way: the source's release, when the next move need not wait for it. */
async function move(): Promise<Promise<void>> {
  const id = `m${++moves}`;
  const [left, right] = sides;
  const [source, target] = left.owned.size > right.owned.size ? [left, right] : [right, left];
  const moving = choose(source, target);
  if (moving.length === 0) return Promise.resolve();
  target.warm.set(id, moving);
  target.apply();
  const trouble = Math.floor(random.next() * 6);
  if (trouble === 0) forwarder.cut();
  const frozen = trouble === 1 ? target.rig.exporter : trouble === 2 ? source.rig.exporter : undefined;
  await frozen?.pause();
  const thawed = elapse(100).then(() => frozen?.resume());
  if (trouble === 3) {
    // Reversed at any point on its way.
    await elapse(random.next() * 40);
    target.warm.delete(id);
    await target.drop(id, moving, source);
    return Promise.resolve();
  }
  await target.reaches(id, 'acknowledged');
  target.warm.delete(id);
  for (const slot of moving) {
    target.owned.add(slot);
    source.owned.delete(slot);
  }
  target.apply();
  const done = Promise.all([source.drop(id, moving, target), thawed]).then(() => undefined);
  if (trouble !== 4) await done;
  return done;
}

async function round(count: number): Promise<void> {
  const churn = new Churn(workload, 50);
  const stop = new AbortController();
  const churning = churn.run(stop.signal);
  const open: Promise<void>[] = [];
  try {
    // An array, because a promise that is returned as it is would be waited for.
    for (let i = 0; i < count; i++) open.push(...(await move().then((rest) => [rest])));
    await Promise.all(open);
  } finally {
    stop.abort();
    await churning;
  }
}

const KINDS = { pods: 'kube_pod_info', configmaps: 'kube_configmap_info', services: 'kube_service_info' };

const NONE = { missing: [], extra: [], doubled: 0, unknown: [] };

/** How what the workers show together differs from what the reference shows, and from what they know. */
async function difference(): Promise<unknown> {
  const [all = [], ...parts] = await Promise.all(
    [reference, ...sides.map(({ rig }) => rig.exporter)].map((exporter) => exporter.series()),
  );
  const union = parts.flat();
  const [shown, expected] = [new Set(union), new Set(all)];
  const unknown = sides.flatMap(({ rig }, i) =>
    Object.entries(KINDS).flatMap(([resource, metric]) => {
      const has = parts[i]?.filter((line) => line.startsWith(`${metric}{`)).length ?? 0;
      const known = rig.plane.status().objectsByResource[resource] ?? 0;
      return has === known ? [] : [`${resource}: shows ${has}, knows ${known}`];
    }),
  );
  return {
    missing: all.filter((line) => !shown.has(line)).slice(0, 5),
    extra: union.filter((line) => !expected.has(line)).slice(0, 5),
    doubled: union.length - shown.size,
    unknown,
  };
}

const WAIT = { interval: 100, message: `seed ${SEED}` };

beforeAll(async () => {
  api = await startApiServer();
  narrowing = api.server;
  plain = await api.addReplica({ ShardedListAndWatch: false });
  forwarder = await SwitchingForwarder.start(narrowing);
  client = clientOf(api, createLogger({ name: 'workload', level: 'warn' }), 'workload');
  workload = new Workload({ client, seed: SEED, pods: 400, nodes: 5, namespaces: 4 });
  await workload.define();
  await workload.populate();
  reference = await Exporter.create('reference', api.server, kubeconfigOf(api));
  const access = { server: forwarder.url, ca: api.ca, adminToken: api.adminToken };
  sides = [
    new Side(await WorkerRig.create('left', access), slots(0, SLOTS / 2)),
    new Side(await WorkerRig.create('right', access), slots(SLOTS / 2, SLOTS)),
  ];
  for (const side of sides) {
    side.rig.startPlane();
    side.apply();
  }
  reference.start();
  await Promise.all(sides.map(({ rig }) => rig.startExporter()));
});

afterAll(async () => {
  await Promise.allSettled([...(sides ?? []).map(({ rig }) => rig.stop()), reference?.stop()]);
  await forwarder?.stop();
  await client?.close();
  await api?.stop();
});

test('two workers show what one exporter shows', async () => {
  await expect.poll(difference, WAIT).toEqual(NONE);
});

test(`${MOVES} moves in a row under churn lose and double nothing (seed ${SEED})`, { timeout: 3_600_000 }, async () => {
  for (let done = 0; done < MOVES; done += ROUND) {
    await round(Math.min(ROUND, MOVES - done));
    await expect.poll(difference, WAIT).toEqual(NONE);
  }
});

test('API servers that differ in narrowing, as during an upgrade, lose and double nothing', async () => {
  for (const targets of [[narrowing, plain], [narrowing], [plain]]) {
    forwarder.switchTo(...targets);
    forwarder.cut();
    await round(6);
    await expect.poll(difference, WAIT).toEqual(NONE);
  }
});
