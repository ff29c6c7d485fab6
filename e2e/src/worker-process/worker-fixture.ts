import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { instanceSpecOf, type ShardInstanceStatus } from '@shard-controller/shared/api';
import {
  ALL_HEARTBEATS,
  ASSIGNMENT_STREAM,
  type Assignment,
  assignmentSubject,
  type Heartbeat,
  heartbeatSchema,
  heartbeatSubject,
  type KindPosition,
  type VerifyQuestion,
  type VerifyRequest,
  verifyReplySchema,
  verifySubject,
} from '@shard-controller/shared/contracts';
import { fnv1a64, rangesToSlots, slotOf, slotsToRanges, slotsToText } from '@shard-controller/shared/hashing';
import { isNotFound, KubernetesClient, resourcePath, staticEndpoint } from '@shard-controller/shared/kubernetes';
import { connectNats, ensureStream, lastValueStream, type NatsLink } from '@shard-controller/shared/nats';
import { createLogger } from '@shard-controller/shared/observability';
import { PATIENCE_MS, untilWell } from '@shard-controller/shared/testing';
import { CrdFixture } from '../api/crd-fixture.ts';
import { resolveBinary } from '../cluster/binaries.ts';
import type { StandaloneApiServer } from '../cluster/standalone-api-server.ts';
import { chartRights, type PolicyRule } from '../install/rights.ts';
import { type NatsServer, startNatsServer } from '../nats/index.ts';
import { freePorts } from '../cluster/free-ports.ts';
import { LocalProcess } from './local-process.ts';

export const NAMESPACE = 'default';
export const CONFIG = 'main';
export const SLOT_COUNT = 256;

const ACCOUNT = `system:serviceaccount:${NAMESPACE}:shard-controller-worker`;
const WORKER_MAIN = join(import.meta.dirname, '../../../packages/worker/src/main.ts');
const quiet = createLogger({ name: 'test', level: 'silent' });

/** uid of the ShardConfig that a fixture has made; test files run in processes of their own and make one each. */
let uid = '';
export const configUid = (): string => uid;

/** A real API server with our CRDs and rights, and a real NATS with the assignment stream. */
export class WorkerFixture {
  readonly apiServer: StandaloneApiServer;
  readonly nats: NatsServer;
  readonly admin: KubernetesClient;
  readonly #crds: CrdFixture;
  readonly #link: NatsLink;
  /** As they were last written, by shard. */
  readonly #assignments = new Map<string, Assignment>();
  #pods: WorkerPod[] = [];

  static async start(): Promise<WorkerFixture> {
    const crds = await CrdFixture.start();
    const nats = await startNatsServer();
    // A server that has just started on a busy disk may take its time for the first write.
    const link = await connectNats({ servers: nats.url, name: 'test', logger: quiet, requestTimeoutMs: 30_000 });
    const fixture = new WorkerFixture(crds, nats, link);
    fixture.#proveReleases();
    await fixture.ensureAssignmentStream();
    await fixture.createConfig();
    const { exported, worker } = await chartRights(NAMESPACE);
    await fixture.grant('shard-controller-worker', [...exported, ...worker]);
    return fixture;
  }

  private constructor(crds: CrdFixture, nats: NatsServer, link: NatsLink) {
    this.#crds = crds;
    this.apiServer = crds.server;
    this.nats = nats;
    this.#link = link;
    const { server, ca, adminToken: token } = crds.server;
    this.admin = new KubernetesClient({
      endpoint: staticEndpoint({ server, ca, token }),
      logger: quiet,
      userAgent: 'test',
    });
  }

  /** Ends what a test has started. */
  async endPods(): Promise<void> {
    for (const pod of this.#pods.splice(0)) await pod.kill();
  }

  async stop(): Promise<void> {
    await this.endPods();
    await this.admin.close();
    await this.#link.close();
    await this.nats.dispose();
    await this.#crds.stop();
  }

  async ensureAssignmentStream(): Promise<void> {
    await this.#link.waitConnected(5000);
    await ensureStream(this.#link, lastValueStream({ name: ASSIGNMENT_STREAM, subjects: ['shard.assignments.>'] }));
  }

  token(): string {
    return this.apiServer.tokenFor(ACCOUNT, ['system:serviceaccounts', `system:serviceaccounts:${NAMESPACE}`]);
  }

  /** One worker pod: the worker's own process and a real kube-state-metrics, on ports of their own. */
  async pod(options: PodOptions = {}): Promise<WorkerPod> {
    const pod = await WorkerPod.create(this, options);
    this.#pods.push(pod);
    return pod;
  }

  /** The ShardConfig that all pods from now on are of; an assignment, too. */
  async createConfig(): Promise<void> {
    const made = await this.admin.create<{ metadata: { uid: string } }>(configPath(), {
      apiVersion: 'shard.io/v1',
      kind: 'ShardConfig',
      metadata: { name: CONFIG, namespace: NAMESPACE },
      spec: { mode: 'Paused', minShards: 1, maxShards: 64 },
    });
    uid = made.metadata.uid;
  }

  async deleteConfig(): Promise<void> {
    await this.admin.delete(configPath(CONFIG));
  }

  /** What the manager writes: the spec of the ShardInstance. */
  async writeInstance(assignment: Assignment): Promise<void> {
    const object = {
      apiVersion: 'shard.io/v1',
      kind: 'ShardInstance',
      metadata: { name: `${CONFIG}-${assignment.shardId}`, namespace: NAMESPACE },
      spec: instanceSpecOf(assignment),
    };
    await this.admin.apply({ object, fieldManager: 'test', force: true });
    this.#assignments.set(assignment.shardId, assignment);
  }

  /** What the manager does beside: tells workers that release what those show that have the slots now. */
  #proveReleases(): void {
    this.#link.subscribe({ subject: ALL_HEARTBEATS, schema: heartbeatSchema }, async ({ body }) => {
      if (!body.ok) return;
      const { shardId, handovers } = body.value;
      const { releaseRanges = [] } = this.#assignments.get(shardId) ?? {};
      const waits = handovers.filter(({ state }) => state === 'releasing');
      for (const { migration } of waits) {
        const slots = rangesToSlots(
          releaseRanges.filter((range) => range.migration === migration),
          SLOT_COUNT,
        );
        await this.#proveRelease(shardId, migration, slots).catch(() => undefined);
      }
    });
  }

  async #proveRelease(shardId: string, migration: string, slots: readonly number[]): Promise<void> {
    const ask = async (of: string, question: VerifyQuestion): Promise<readonly KindPosition[]> => {
      const moving = { uid, migration, slots: slotsToText(slots), slotCount: SLOT_COUNT };
      const request: VerifyRequest = { v: 'shard.verify.v2', ...moving, question };
      const subject = verifySubject(addressOf(of));
      const outcome = await this.#link.request({ subject, body: request, schema: verifyReplySchema });
      // Of a pod that has ended only the ShardInstance is left.
      if (outcome.kind === 'no-responders') return [];
      if (outcome.kind !== 'reply' || !outcome.reply.ok || outcome.reply.value.late === undefined) {
        throw new Error(`${of} does not answer: ${JSON.stringify(outcome)}`);
      }
      return outcome.reply.value.late;
    };
    const late = await ask(shardId, { ask: 'late', shown: [] });
    if (late.length === 0) return;
    const isOwner = ({ hashRanges }: Assignment): boolean =>
      rangesToSlots(hashRanges, SLOT_COUNT).some((slot) => slots.includes(slot));
    const owners = [...this.#assignments.values()].filter(isOwner);
    const hidden = await Promise.all(owners.map((owner) => ask(owner.shardId, { ask: 'shown', kinds: [...late] })));
    const awaited = new Set(hidden.flat().map(({ kind }) => kind));
    await ask(shardId, { ask: 'late', shown: late.filter(({ kind }) => !awaited.has(kind)) });
  }

  /** Replaces what the workers of a shard have said of themselves. */
  async writeStatus(shardId: string, status: ShardInstanceStatus): Promise<void> {
    const contentType = 'application/merge-patch+json';
    await this.admin.patch(`${instancePath(shardId)}/status`, { status }, { contentType });
  }

  async deleteInstance(shardId: string): Promise<void> {
    try {
      await this.admin.delete(instancePath(shardId));
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }

  async instance(shardId: string): Promise<Readonly<Record<string, unknown>>> {
    return await this.admin.get(instancePath(shardId));
  }

  /** Publishes anything on the assignment subject of a shard. */
  async publish(shardId: string, content: unknown): Promise<void> {
    const subject = assignmentSubject({ namespace: NAMESPACE, config: CONFIG, shardId });
    await this.#link.session().js.publish(subject, typeof content === 'string' ? content : JSON.stringify(content));
  }

  /** Publishes bytes on any subject. */
  send(subject: string, bytes: string | Uint8Array): void {
    this.#link.session().connection.publish(subject, bytes);
  }

  async request(subject: string, body: string): Promise<unknown> {
    const answer = await this.#link.session().connection.request(subject, body, { timeout: PATIENCE_MS });
    return answer.json();
  }

  /** All heartbeats of a worker from now on. */
  heartbeats(shardId: string): Heartbeat[] {
    const heard: Heartbeat[] = [];
    const subject = heartbeatSubject(addressOf(shardId));
    this.#link.subscribe({ subject, schema: heartbeatSchema }, ({ body }) => {
      if (!body.ok) throw new Error(`a worker sent an invalid heartbeat: ${body.problem}`);
      heard.push(body.value);
    });
    return heard;
  }

  /** Heartbeats that were not valid, and other failures of the test's own subscriptions. */
  get invalidMessages(): number {
    return this.#link.counters.invalid;
  }

  /** ConfigMaps named `<prefix>-<n>`; resolves with their uids by name. */
  async createConfigMaps(prefix: string, count: number): Promise<ReadonlyMap<string, string>> {
    const uids = new Map<string, string>();
    const path = resourcePath({ group: '', version: 'v1', resource: 'configmaps', namespace: NAMESPACE });
    for (let i = 0; i < count; i++) {
      const name = `${prefix}-${i}`;
      const made = await this.admin.create<{ metadata: { uid: string } }>(path, { metadata: { name } });
      uids.set(name, made.metadata.uid);
    }
    return uids;
  }

  /** Lets workers do more, everywhere. */
  async grant(name: string, rules: readonly PolicyRule[]): Promise<void> {
    const group = 'rbac.authorization.k8s.io';
    const path = (resource: string): string => resourcePath({ group, version: 'v1', resource });
    await this.admin.create(path('clusterroles'), { metadata: { name }, rules });
    await this.admin.create(path('clusterrolebindings'), {
      metadata: { name },
      roleRef: { apiGroup: group, kind: 'ClusterRole', name },
      subjects: [{ apiGroup: group, kind: 'User', name: ACCOUNT }],
    });
  }
}

const addressOf = (shardId: string) => ({ namespace: NAMESPACE, config: CONFIG, shardId, replica: 'a' as const });

const configPath = (name?: string): string =>
  resourcePath({ group: 'shard.io', version: 'v1', resource: 'shardconfigs', namespace: NAMESPACE, name });

const instancePath = (shardId: string): string =>
  resourcePath({
    group: 'shard.io',
    version: 'v1',
    resource: 'shardinstances',
    namespace: NAMESPACE,
    name: `${CONFIG}-${shardId}`,
  });

const DEFAULT_EXPORTER_ARGS: readonly string[] = ['--resources=configmaps,namespaces,pods'];

export interface PodOptions {
  readonly ordinal?: number;
  /** Further or other environment of the worker. */
  readonly env?: Readonly<Record<string, string>>;
  /** Content of the token file; a valid one when absent. */
  readonly token?: string;
  /** Start kube-state-metrics too; default true. A command replaces it. */
  readonly exporter?: boolean | readonly [string, ...string[]];
  /** What kube-state-metrics exports, and how much it says; a few kinds when absent. */
  readonly exporterArgs?: readonly string[];
  /** CA file of the worker; the API server's own when absent. */
  readonly authority?: string;
}

export interface Answer {
  readonly status: number;
  readonly text: string;
}

/** The processes of one worker pod. */
export class WorkerPod {
  readonly shardId: string;
  readonly ports: {
    readonly gateway: number;
    readonly health: number;
    readonly proxy: number;
    readonly exporter: number;
  };
  readonly #workerEnv: Readonly<Record<string, string>>;
  #worker: LocalProcess;
  readonly #folder: string;
  readonly #exporterArgs: readonly string[];
  readonly #runExporter: readonly [string, ...string[]] | undefined;
  #exporter: LocalProcess | undefined;
  #exporterLog = '';

  static async create(fixture: WorkerFixture, options: PodOptions): Promise<WorkerPod> {
    const ports = await freePorts(5);
    return new WorkerPod(fixture, options, ports);
  }

  private constructor(
    fixture: WorkerFixture,
    { ordinal = 0, env = {}, token, exporter = true, exporterArgs = DEFAULT_EXPORTER_ARGS, authority }: PodOptions,
    [gateway = 0, health = 0, proxy = 0, metrics = 0, telemetry = 0]: readonly number[],
  ) {
    this.shardId = `shard-${String(ordinal).padStart(3, '0')}`;
    this.ports = { gateway, health, proxy, exporter: metrics };
    this.#folder = mkdtempSync(join(tmpdir(), 'shard-worker-'));
    this.writeToken(token ?? fixture.token());
    this.writeAuthority(authority ?? fixture.apiServer.ca);
    const server = new URL(fixture.apiServer.server);
    this.#workerEnv = {
      POD_NAME: `${CONFIG}-a-${ordinal}`,
      POD_NAMESPACE: NAMESPACE,
      NODE_NAME: 'node-1',
      SHARD_CONFIG: CONFIG,
      SHARD_CONFIG_UID: configUid(),
      REVISION: 'r1',
      NATS_URL: fixture.nats.url,
      KUBERNETES_SERVICE_HOST: server.hostname,
      KUBERNETES_SERVICE_PORT: server.port,
      SERVICE_ACCOUNT_FOLDER: this.#folder,
      LISTEN_HOST: '127.0.0.1',
      GATEWAY_PORT: String(gateway),
      HEALTH_PORT: String(health),
      PROXY_PORT: String(proxy),
      EXPORTER_PORT: String(metrics),
      EXPORTER_TELEMETRY_PORT: String(telemetry),
      ...env,
    };
    this.#worker = this.#newWorker();
    this.#exporterArgs = [
      `--apiserver=http://127.0.0.1:${proxy}`,
      '--host=127.0.0.1',
      `--port=${metrics}`,
      '--telemetry-host=127.0.0.1',
      `--telemetry-port=${telemetry}`,
      ...exporterArgs,
    ];
    this.#runExporter = typeof exporter === 'boolean' ? undefined : exporter;
    if (exporter !== false) this.startExporter();
  }

  get worker(): LocalProcess {
    return this.#worker;
  }

  /** Starts the worker's container again, after it has ended. */
  startWorker(): void {
    this.#worker = this.#newWorker();
  }

  #newWorker(): LocalProcess {
    return new LocalProcess({
      name: this.shardId,
      command: [process.execPath, '--conditions=@shard/source', WORKER_MAIN],
      env: this.#workerEnv,
    });
  }

  /** Starts the exporter and, as kubelet does, starts it again whenever it ends. */
  startExporter(): void {
    const run = this.#runExporter;
    const command: readonly [string, ...string[]] = run ?? [
      'setpriv',
      '--pdeathsig',
      'KILL',
      resolveBinary('kube-state-metrics'),
      ...this.#exporterArgs,
    ];
    const exporter = new LocalProcess({ name: 'kube-state-metrics', command });
    this.#exporter = exporter;
    void exporter.exit.then(async () => {
      this.#exporterLog += exporter.output;
      await sleep(300);
      if (this.#exporter === exporter) this.startExporter();
    });
  }

  /** Of the running kube-state-metrics; undefined while there is none. */
  get exporterPid(): number | undefined {
    return this.#exporter?.pid;
  }

  get exporterOutput(): string {
    return this.#exporterLog + (this.#exporter?.output ?? '');
  }

  /** SIGKILL, and it is not started again. */
  async killExporter(): Promise<void> {
    const exporter = this.#exporter;
    this.#exporter = undefined;
    await exporter?.kill();
  }

  writeToken(token: string): void {
    writeFileSync(join(this.#folder, 'token'), token);
  }

  /** Replaces the worker's CA file. */
  writeAuthority(pem: string): void {
    writeFileSync(join(this.#folder, 'ca.crt'), pem);
  }

  async kill(): Promise<void> {
    await this.killExporter();
    await this.worker.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async scrape(path = '/metrics', headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
    return await get(this.ports.gateway, path, headers);
  }

  async health(path: string): Promise<Answer> {
    return await get(this.ports.health, path);
  }

  /** Names of the ConfigMaps in the exposition, of those that begin with `prefix`. */
  async configMaps(prefix: string): Promise<string[]> {
    const { status, text } = await this.scrape();
    if (status !== 200) throw new Error(`/metrics answered ${status}: ${text}`);
    const names = [...text.matchAll(/^kube_configmap_info\{[^}]*configmap="([^"]+)"/gm)].map(([, name = '']) => name);
    return names.filter((name) => name.startsWith(`${prefix}-`)).sort();
  }

  async ready(): Promise<void> {
    await this.eventually(async () => {
      const { status, text } = await this.health('/readyz');
      return status === 200 ? undefined : text;
    });
  }

  /** Waits until `check` finds no problem. Fails with the last problem and the worker's log. */
  async eventually(check: () => Promise<string | undefined>): Promise<void> {
    const context = (): string =>
      `log of the worker:\n${this.worker.output.slice(-6000)}\n${this.exporterOutput.slice(-1500)}`;
    await untilWell(check, { everyMs: 50, context });
  }
}

async function get(port: number, path: string, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
  const answer = await fetch(`http://127.0.0.1:${port}${path}`, { headers: { ...headers, connection: 'close' } });
  return { status: answer.status, text: await answer.text() };
}

/** An assignment of this test's ShardConfig. */
export function assignment(
  shardId: string,
  epoch: number,
  owned: readonly number[],
  over: Partial<Assignment> = {},
): Assignment {
  return {
    v: 'shard.assignment.v1',
    shardConfig: { namespace: NAMESPACE, name: CONFIG, uid: configUid() },
    shardId,
    generation: 1,
    epoch,
    slotCount: SLOT_COUNT,
    shardBy: 'uid',
    hashRanges: slotsToRanges(owned, SLOT_COUNT),
    warmRanges: [],
    releaseRanges: [],
    ...over,
  };
}

/** Names whose object lies in one of the slots, sorted. */
export function namesIn(uids: ReadonlyMap<string, string>, slots: readonly number[]): string[] {
  const wanted = new Set(slots);
  return [...uids]
    .filter(([, uid]) => wanted.has(slotOf(fnv1a64(uid).high, SLOT_COUNT)))
    .map(([name]) => name)
    .sort();
}

export const slots = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);
