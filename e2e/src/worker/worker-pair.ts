import { readFileSync } from 'node:fs';
import type { KubernetesClient } from '@shard-controller/shared/kubernetes';
import { createLogger } from '@shard-controller/shared/observability';
import { waitUntil } from '@shard-controller/shared/testing';
import { startApiServer, type StandaloneApiServer } from '../cluster/standalone-api-server.ts';
import { FaultyFront } from '../faults/faulty-front.ts';
import { chartRights } from '../install/rights.ts';
import { Churn, CUSTOM_GROUP, Workload } from '../workload/index.ts';
import { type ApiAccess, clientOf, Exporter, kubeconfigOf, slots, WorkerRig } from './exporter-rig.ts';
import { type SampleReport, SeriesSampler } from './series-sampler.ts';
import { release } from './verified-move.ts';

/** So many that some objects of each kind are in them: a slot that has none of a kind needs no read of it. */
const MOVED = slots(32, 128);
const ROLES = '/apis/rbac.authorization.k8s.io/v1/clusterroles';
const BINDINGS = '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings';

/** How the workers' series together differ from the reference's. */
interface Difference {
  readonly missing: readonly string[];
  readonly extra: readonly string[];
  readonly doubled: number;
}

export const NONE: Difference = { missing: [], extra: [], doubled: 0 };

/** Of a `SampleReport`. */
export const NOTHING = { missingMax: 0, examples: [], failures: [] } as const;

type Handovers = ReturnType<WorkerRig['plane']['status']>['handovers'];

interface Parts {
  readonly api: StandaloneApiServer;
  readonly front: FaultyFront;
  readonly access: ApiAccess;
  readonly client: KubernetesClient;
  readonly worker: KubernetesClient;
  readonly workload: Workload;
  readonly reference: Exporter;
  readonly left: WorkerRig;
  readonly right: WorkerRig;
}

/**
 * Two data planes with an exporter each, behind a front that can break what they read, and rights that can be taken away;
 * and an exporter that reads the API server itself.
 */
export class WorkerPair {
  readonly api: StandaloneApiServer;
  readonly front: FaultyFront;
  /** How the workers reach the API server: through the front. */
  readonly access: ApiAccess;
  /** May do anything. */
  readonly client: KubernetesClient;
  readonly left: WorkerRig;
  readonly right: WorkerRig;
  readonly #parts: Parts;
  #epoch = 1;
  #moves = 0;

  /** Resolves when both show all that they should. */
  static async start(): Promise<WorkerPair> {
    const api = await startApiServer();
    const front = await FaultyFront.start({ target: () => api });
    const client = clientOf(api, createLogger({ name: 'workload', level: 'warn' }), 'workload');
    const adminToken = api.tokenFor('worker');
    const silent = createLogger({ name: 'worker', level: 'fatal' });
    const worker = clientOf({ server: api.server, ca: api.ca, adminToken }, silent, 'worker');
    await createRole(client);
    const workload = new Workload({ client, seed: 7, pods: 400, nodes: 5, namespaces: 4 });
    await workload.define();
    await workload.populate();
    const access = { server: `https://127.0.0.1:${front.port}`, ca: front.authority, adminToken };
    const reference = await Exporter.create('reference', api.server, kubeconfigOf(api));
    const [left, right] = await Promise.all([WorkerRig.create('left', access), WorkerRig.create('right', access)]);
    const pair = new WorkerPair({ api, front, access, client, worker, workload, reference, left, right });
    await pair.#begin();
    return pair;
  }

  private constructor(parts: Parts) {
    this.#parts = parts;
    this.api = parts.api;
    this.front = parts.front;
    this.access = parts.access;
    this.client = parts.client;
    this.left = parts.left;
    this.right = parts.right;
  }

  async #begin(): Promise<void> {
    const { left, right } = this;
    await this.grant();
    for (const rig of [left, right]) rig.startPlane();
    left.assign({ epoch: this.#epoch, owned: slots(0, 128) });
    right.assign({ epoch: this.#epoch, owned: slots(128, 256) });
    this.#parts.reference.start();
    await Promise.all([left, right].map((rig) => rig.startExporter()));
    await this.bothAreWarm();
  }

  async stop(): Promise<void> {
    const { left, right, reference, worker } = this.#parts;
    await Promise.allSettled([left, right, reference].map((each) => each.stop()));
    await this.front.stop();
    await Promise.allSettled([this.client.close(), worker.close()]);
    await this.api.stop();
  }

  get nextEpoch(): number {
    return ++this.#epoch;
  }

  /** Waits until `holds`; fails with the states of both workers when it does not come. */
  async until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
    const state = (rig: WorkerRig): string => {
      const { objectsByResource: _, ...status } = rig.plane.status();
      return `${JSON.stringify(status)}\n${readFileSync(rig.exporter.logFile, 'utf8').slice(-1_500)}`;
    };
    await waitUntil(what, holds, { everyMs: 20, context: () => `${state(this.left)}\n${state(this.right)}` });
  }

  bothAreWarm(): Promise<void> {
    return this.until('both are warm', () => isWarm(this.left) && isWarm(this.right));
  }

  /** Waits until both show all of each kind again. */
  nothingIsLeftOut(): Promise<void> {
    const rigs = [this.left, this.right];
    return this.until('every kind is whole again', () => rigs.every((rig) => unavailable(rig).length === 0));
  }

  /** How the workers' series differ from the reference's, values included. @param broken series to leave out. */
  async difference(broken?: RegExp): Promise<Difference> {
    const [all = [], ...parts] = await Promise.all(
      [this.#parts.reference, this.left.exporter, this.right.exporter].map(async (exporter) =>
        (await exporter.series()).filter((line) => broken?.test(line) !== true),
      ),
    );
    const expected = new Set(all);
    const union = parts.flat();
    const shown = new Set(union);
    return {
      missing: all.filter((line) => !shown.has(line)).slice(0, 5),
      extra: union.filter((line) => !expected.has(line)).slice(0, 5),
      doubled: union.length - shown.size,
    };
  }

  /** Moves three quarters of one side's slots to the other, and returns what the target said. */
  async move(from: WorkerRig, to: WorkerRig, meanwhile?: () => Promise<void>): Promise<Handovers[number]> {
    const migration = `m${++this.#moves}`;
    const ofLeft = slots(0, 32);
    const ofRight = slots(128, 256);
    const [fromRest, toRest] = from === this.left ? [ofLeft, ofRight] : [ofRight, ofLeft];
    to.assign({ epoch: this.nextEpoch, owned: toRest, warm: [{ migration, slots: MOVED }] });
    await meanwhile?.();
    await this.until(`${migration} is acknowledged`, () => handoverOf(to, migration)?.state === 'acknowledged');
    const said = handoverOf(to, migration);
    to.assign({ epoch: this.nextEpoch, owned: [...toRest, ...MOVED].sort((a, b) => a - b) });
    from.assign({ epoch: this.nextEpoch, owned: fromRest, release: [{ migration, slots: MOVED }] });
    await release(from.plane, to.plane, MOVED, migration);
    from.assign({ epoch: this.nextEpoch, owned: fromRest });
    if (said === undefined) throw new Error('the target said nothing');
    return said;
  }

  async withChurn<T>(work: () => Promise<T>): Promise<T> {
    const stop = new AbortController();
    const running = new Churn(this.#parts.workload, 30).run(stop.signal);
    try {
      return await work();
    } finally {
      stop.abort();
      await running;
    }
  }

  /** Does `work`, and resolves with what was away from the exporters meanwhile, but for series of `broken`. */
  async lost(work: () => Promise<void>, broken?: RegExp): Promise<SampleReport> {
    const others = {
      series: async () => (await this.#parts.reference.series()).filter((line) => broken?.test(line) !== true),
    };
    const sampler = new SeriesSampler([this.left.exporter, this.right.exporter], others);
    let report: SampleReport;
    try {
      await work();
    } finally {
      report = await sampler.stop();
    }
    return report;
  }

  /** Lets the workers read everything that is exported, less `taken`. */
  async grant(taken?: string): Promise<void> {
    const kinds = [{ group: CUSTOM_GROUP, resources: ['widgets'] }];
    const { exported: rules } = await chartRights('default', kinds, taken);
    await this.client.patch(`${ROLES}/workers`, { rules }, { contentType: 'application/merge-patch+json' });
  }

  /** Whether the workers can list the collection, asked without the front. */
  async canList(path: string): Promise<boolean> {
    try {
      await this.#parts.worker.list(path, { query: { limit: '1' } });
      return true;
    } catch {
      return false;
    }
  }
}

async function createRole(client: KubernetesClient): Promise<void> {
  const apiGroup = 'rbac.authorization.k8s.io';
  const common = { apiVersion: `${apiGroup}/v1`, metadata: { name: 'workers' } };
  await client.create(ROLES, { ...common, kind: 'ClusterRole', rules: [] });
  await client.create(BINDINGS, {
    ...common,
    kind: 'ClusterRoleBinding',
    roleRef: { apiGroup, kind: 'ClusterRole', name: 'workers' },
    subjects: [{ apiGroup, kind: 'User', name: 'worker' }],
  });
}

export const isWarm = (rig: WorkerRig): boolean => {
  const { warm, slots: count } = rig.plane.status();
  return warm && count.assigned === count.acknowledged;
};

const handoverOf = (rig: WorkerRig, migration: string): Handovers[number] | undefined =>
  rig.plane.status().handovers.find((each) => each.migration === migration);

/** The kinds that a worker cannot read, each with the cause. */
export const unavailable = (rig: WorkerRig): string[] =>
  (rig.plane.status().unavailable ?? []).map(({ kind, cause }) => `${kind}: ${cause}`);

/** Notes every time that a worker cannot be scraped or is not ready from now on. */
export function notes(...rigs: readonly WorkerRig[]): { readonly cold: string[]; stop(): void } {
  const cold: string[] = [];
  const ends = rigs.map(({ plane }) =>
    plane.onChange(() => {
      const { warm, warmReason, slots: count, feeds } = plane.status();
      const isReady = count.assigned === count.acknowledged && feeds.synced === feeds.total;
      if (!warm || !isReady) cold.push(`${warmReason} ${JSON.stringify(count)} ${JSON.stringify(feeds)}`);
    }),
  );
  return { cold, stop: () => ends.forEach((end) => end()) };
}
