import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Assignment, Heartbeat } from '@shard-controller/shared/contracts';
import { slotsToRanges } from '@shard-controller/shared/hashing';
import { KubernetesClient, resourcePath, staticEndpoint } from '@shard-controller/shared/kubernetes';
import { createLogger } from '@shard-controller/shared/observability';
import { retried } from '@shard-controller/shared/testing';
import { Exporter, kubeconfigOf } from '../worker/exporter-rig.ts';
import { assignment, SLOT_COUNT, slots, WorkerFixture, type WorkerPod } from '../worker-process/worker-fixture.ts';
import { CUSTOM_GROUP, CUSTOM_RESOURCE_STATE, LABELS_ALLOWLIST, Workload } from '../workload/index.ts';
import { FaultyFront } from './faulty-front.ts';
import type { FaultSetting } from './faults.ts';
import type { WorkerIndex } from './schedule.ts';

/** Objects that no test touches: their series must never be missing. */
const STEADY = 100;
const PODS = 130;
/** A busy machine takes long to start a fleet; one that is not whole by then never will be. */
/** An exporter with custom resources lists again about 3 s after its start. */
const SECOND_START_MS = 4_000;

/** A worker process behind a front of its own, with a real kube-state-metrics, and what the rest of the world says to it. */
export class FleetWorker {
  readonly front: FaultyFront;
  readonly pod: WorkerPod;
  readonly shardId: string;
  readonly credentials: FaultSetting['credentials'];
  readonly heartbeats: readonly Heartbeat[];
  owned: ReadonlySet<number>;
  /** When its front last corrupted an event; monotonic ms. */
  corruptedAt = -Infinity;
  readonly #fixture: WorkerFixture;

  constructor(fixture: WorkerFixture, front: FaultyFront, pod: WorkerPod, token: string, owned: readonly number[]) {
    this.#fixture = fixture;
    this.front = front;
    this.pod = pod;
    this.shardId = pod.shardId;
    this.owned = new Set(owned);
    this.heartbeats = fixture.heartbeats(pod.shardId);
    let current = token;
    this.credentials = {
      token: () => current,
      rotateToken: () => {
        current = fixture.token();
        pod.writeToken(current);
      },
      writeAuthority: (pem) => pod.writeAuthority(pem),
    };
  }

  /** Resolves when it is ready and its exporter has started its watches the second time (custom resources). */
  async settled(): Promise<void> {
    await this.pod.ready();
    for (let lists = -1; lists !== this.exporterLists(); ) {
      lists = this.exporterLists();
      await sleep(SECOND_START_MS);
    }
  }

  /** What the manager does: the ShardInstance, then the message. */
  async assign(epoch: number, more: { warm?: Moving; release?: Moving } = {}): Promise<void> {
    const content = assignment(this.shardId, epoch, [...this.owned], {
      warmRanges: rangesOf(more.warm),
      releaseRanges: rangesOf(more.release),
    });
    await this.#written(content);
    await this.#fixture.publish(this.shardId, content);
  }

  /** As a manager keeps trying while the API server restarts. */
  async #written(content: Assignment): Promise<void> {
    await retried(() => this.#fixture.writeInstance(content), { everyMs: 100 });
  }

  /** State of a migration by the newest heartbeat that knows `epoch`. */
  stateOf(migration: string, epoch: number): string | undefined {
    const newest = this.heartbeats.at(-1);
    if (newest === undefined || newest.epoch < epoch) return undefined;
    return newest.handovers.find((handover) => handover.migration === migration)?.state;
  }

  /** Lists that its exporter has asked for since it was started: a first list, or a relist. */
  exporterLists(): number {
    const asked = this.pod.exporterOutput.matchAll(/verb="GET" url="http:\/\/[^/"]+(\/apis?\/[^"]*)"/g);
    let count = 0;
    for (const [, url = ''] of asked) {
      const { pathname, searchParams } = new URL(url, 'http://worker');
      if (pathname.endsWith('/customresourcedefinitions') || !/^\/(api\/v1|apis\/[^/]+\/[^/]+)\/[^/]+$/.test(pathname))
        continue;
      if (searchParams.get('watch') !== 'true' || searchParams.get('sendInitialEvents') === 'true') count++;
    }
    return count;
  }

  /** The worker's counters of one name, summed by `cause`. */
  async causes(name: 'relists' | 'reconnects' | 'load_failures'): Promise<ReadonlyMap<string, number>> {
    const { text } = await this.pod.health('/metrics');
    const counts = new Map<string, number>();
    const line = new RegExp(`^shard_controller_worker_${name}_total\\{([^}]*)\\} (\\d+)`, 'gm');
    for (const [, labels = '', value] of text.matchAll(line)) {
      const cause = /cause="([^"]*)"/.exec(labels)?.[1] ?? '';
      counts.set(cause, (counts.get(cause) ?? 0) + Number(value));
    }
    return counts;
  }

  /** Series of one scrape through the gateway, or why there was none. */
  async series(): Promise<readonly string[] | string> {
    try {
      const { status, text } = await this.pod.scrape('/metrics', { 'x-prometheus-scrape-timeout-seconds': '1' });
      if (status !== 200) return `${this.shardId} answers ${status}: ${text.trim()}`;
      return text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
    } catch (error) {
      return `${this.shardId} does not answer: ${String(error)}`;
    }
  }
}

interface Moving {
  readonly migration: string;
  readonly slots: readonly number[];
}

function rangesOf(moving: Moving | undefined): { start: number; end: number; migration: string }[] {
  if (moving === undefined) return [];
  return slotsToRanges(moving.slots, SLOT_COUNT).map((range) => ({ ...range, migration: moving.migration }));
}

/**
 * Two workers with complementary slots, each behind a faulty front, and a kube-state-metrics that reads the API server
 * directly: what the two show together has to be what it shows.
 */
export class FaultFleet {
  readonly fixture: WorkerFixture;
  readonly workload: Workload;
  readonly reference: Exporter;
  readonly workers: readonly [FleetWorker, FleetWorker];
  #epoch = 1;
  readonly #client: KubernetesClient;
  readonly #folder: string;

  static async start(seed: number): Promise<FaultFleet> {
    const fixture = await WorkerFixture.start();
    try {
      return await FaultFleet.#build(fixture, seed);
    } catch (error) {
      await fixture.stop();
      throw error;
    }
  }

  static async #build(fixture: WorkerFixture, seed: number): Promise<FaultFleet> {
    const { server, ca, adminToken: token } = fixture.apiServer;
    const logger = createLogger({ name: 'workload', level: 'silent' });
    const client = new KubernetesClient({
      endpoint: staticEndpoint({ server, ca, token }),
      logger,
      userAgent: 'workload',
    });
    const workload = new Workload({ client, seed, pods: PODS, nodes: 2, namespaces: 3 });
    await workload.define();
    await workload.populate();
    await Promise.all(Array.from({ length: STEADY }, (_, i) => createSteady(client, i)));
    await grantWidgets(fixture);
    const folder = mkdtempSync(join(tmpdir(), 'faults-'));
    const config = join(folder, 'custom-resource-state.yaml');
    writeFileSync(config, CUSTOM_RESOURCE_STATE);
    const reference = await Exporter.create('reference', '', kubeconfigOf(fixture.apiServer));
    reference.start();
    const halves = [slots(0, SLOT_COUNT / 2), slots(SLOT_COUNT / 2, SLOT_COUNT)];
    const [left, right] = await Promise.all(halves.map((owned, i) => startWorker(fixture, i, owned, config)));
    if (left === undefined || right === undefined) throw new Error('two workers were started');
    const fleet = new FaultFleet({ fixture, workload, reference, workers: [left, right], client, folder });
    await Promise.all(fleet.workers.map((worker) => worker.settled()));
    return fleet;
  }

  private constructor(parts: {
    readonly fixture: WorkerFixture;
    readonly workload: Workload;
    readonly reference: Exporter;
    readonly workers: readonly [FleetWorker, FleetWorker];
    readonly client: KubernetesClient;
    readonly folder: string;
  }) {
    this.fixture = parts.fixture;
    this.workload = parts.workload;
    this.reference = parts.reference;
    this.workers = parts.workers;
    this.#client = parts.client;
    this.#folder = parts.folder;
  }

  /**
   * Moves slots from one worker to the other as the manager does, and waits for each step; rolled back when `reversal`
   * aborts before the target has acknowledged.
   */
  async move(
    migration: string,
    from: WorkerIndex,
    count: number,
    reversal: AbortSignal,
    end: AbortSignal,
  ): Promise<void> {
    const source = this.workers[from];
    const target = this.workers[from === 0 ? 1 : 0];
    const moving = { migration, slots: [...source.owned].slice(0, Math.min(count, source.owned.size - 8)) };
    if (moving.slots.length <= 0) return;
    const warm = ++this.#epoch;
    await target.assign(warm, { warm: moving });
    while (target.stateOf(migration, warm) !== 'acknowledged') {
      if (reversal.aborted) return await target.assign(++this.#epoch);
      await sleep(10, undefined, { signal: end });
    }
    const switched = ++this.#epoch;
    target.owned = new Set([...target.owned, ...moving.slots]);
    source.owned = new Set([...source.owned].filter((slot) => !moving.slots.includes(slot)));
    await target.assign(switched);
    await source.assign(switched, { release: moving });
    while (source.stateOf(migration, switched) !== 'released') await sleep(10, undefined, { signal: end });
    await source.assign(++this.#epoch);
  }

  /** How the union of the workers differs from the reference, or undefined when it does not. */
  async difference(): Promise<string | undefined> {
    const [all, ...parts] = await Promise.all([
      this.reference.series().catch(() => [] as string[]),
      ...this.workers.map((worker) => worker.series()),
    ]);
    const refused = parts.find((part) => typeof part === 'string');
    if (typeof refused === 'string') return refused;
    const shown = parts.flatMap((part) => (typeof part === 'string' ? [] : part));
    const counts = new Map<string, number>();
    for (const line of all) counts.set(line, (counts.get(line) ?? 0) - 1);
    for (const line of shown) counts.set(line, (counts.get(line) ?? 0) + 1);
    const missing = [...counts].filter(([, count]) => count < 0).map(([line]) => line);
    const extra = [...counts].filter(([, count]) => count > 0).map(([line]) => line);
    if (missing.length + extra.length === 0) return undefined;
    const some = (lines: readonly string[]): string => lines.slice(0, 4).join('\n    ');
    return `${missing.length} missing\n    ${some(missing)}\n  ${extra.length} stale or doubled\n    ${some(extra)}`;
  }

  /** How many of the untouched objects are not shown; undefined while a worker answers no scrape. */
  async steadyMissing(): Promise<number | undefined> {
    const parts = await Promise.all(this.workers.map((worker) => worker.series()));
    if (parts.some((part) => typeof part === 'string')) return undefined;
    const shown = new Set<string>();
    for (const line of parts.flat()) {
      const name = /^kube_configmap_info\{.*configmap="(steady-\d+)"/.exec(line)?.[1];
      if (name !== undefined) shown.add(name);
    }
    return STEADY - shown.size;
  }

  async stop(): Promise<void> {
    await this.reference.stop();
    await this.fixture.endPods();
    for (const { front } of this.workers) await front.stop();
    await this.#client.close();
    await this.fixture.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

async function startWorker(
  fixture: WorkerFixture,
  ordinal: number,
  owned: readonly number[],
  customResourceState: string,
): Promise<FleetWorker> {
  const front = await FaultyFront.start({ target: () => fixture.apiServer });
  const token = fixture.token();
  await fixture.writeInstance(assignment(`shard-00${ordinal}`, 1, owned));
  const pod = await fixture.pod({
    ordinal,
    token,
    authority: front.authority,
    env: {
      KUBERNETES_SERVICE_PORT: String(front.port),
      CUSTOM_RESOURCES: `*.${CUSTOM_GROUP}`,
      LOG_LEVEL: 'debug',
    },
    exporterArgs: [
      `--metric-labels-allowlist=${LABELS_ALLOWLIST.join(',')}`,
      `--custom-resource-state-config-file=${customResourceState}`,
      // Every request is a line.
      '-v=6',
    ],
  });
  return new FleetWorker(fixture, front, pod, token, owned);
}

async function createSteady(client: KubernetesClient, index: number): Promise<void> {
  const path = resourcePath({ group: '', version: 'v1', resource: 'configmaps', namespace: 'default' });
  await client.create(path, { metadata: { name: `steady-${index}` } });
}

async function grantWidgets(fixture: WorkerFixture): Promise<void> {
  const group = 'rbac.authorization.k8s.io';
  const path = (resource: string): string => resourcePath({ group, version: 'v1', resource });
  const rules = [{ apiGroups: [CUSTOM_GROUP], resources: ['*'], verbs: ['get', 'list', 'watch'] }];
  await fixture.admin.create(path('clusterroles'), { metadata: { name: 'widgets' }, rules });
  await fixture.admin.create(path('clusterrolebindings'), {
    metadata: { name: 'widgets' },
    roleRef: { apiGroup: group, kind: 'ClusterRole', name: 'widgets' },
    subjects: [{ apiGroup: group, kind: 'Group', name: 'system:serviceaccounts' }],
  });
}
