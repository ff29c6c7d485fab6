import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ShardConfigSpecInput } from '@shard-controller/shared/api';
import { ASSIGNMENT_STREAM, EVENT_STREAM, eventSubject } from '@shard-controller/shared/contracts';
import { KubernetesClient, resourcePath, staticEndpoint } from '@shard-controller/shared/kubernetes';
import { connectNats, EventStream, type NatsLink } from '@shard-controller/shared/nats';
import { createLogger } from '@shard-controller/shared/observability';
import { z } from 'zod';
import { PATIENCE_MS, untilWell } from '@shard-controller/shared/testing';
import { CrdFixture } from '../api/crd-fixture.ts';
import type { StandaloneApiServer } from '../cluster/standalone-api-server.ts';
import { chartRights, type PolicyRule } from '../install/rights.ts';
import { type NatsServer, startNatsServer } from '../nats/index.ts';
import { freePorts } from '../cluster/free-ports.ts';
import { LocalProcess, type LocalProcessOptions } from '../worker-process/local-process.ts';
import { SimulatedNodes } from './simulated-nodes.ts';

export const NAMESPACE = 'default';
const MANAGER_MAIN = join(import.meta.dirname, '../../../packages/manager/src/main.ts');
const quiet = createLogger({ name: 'test', level: 'silent' });
const RBAC = 'rbac.authorization.k8s.io';

const decisionSchema = z.looseObject({ id: z.string(), events: z.array(z.looseObject({ type: z.string() })) });

const statusSchema = z.looseObject({
  status: z
    .looseObject({
      shards: z.int().optional(),
      readyShards: z.int().optional(),
      desiredShards: z.int().optional(),
      openMigrations: z.int().optional(),
      updatedShards: z.int().optional(),
      logGeneration: z.int().optional(),
      epoch: z.int().optional(),
      observedGeneration: z.int().optional(),
      conditions: z
        .array(z.looseObject({ type: z.string(), status: z.string(), reason: z.string(), message: z.string() }))
        .optional(),
    })
    .default({}),
  metadata: z.looseObject({ uid: z.string(), generation: z.int() }),
});

export type SeenConfig = z.infer<typeof statusSchema>;

export interface ManagerOptions {
  readonly name?: string;
  readonly token?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** A manager's process and its HTTP endpoints. */
export class Manager extends LocalProcess {
  readonly #port: number;

  constructor(port: number, options: LocalProcessOptions) {
    super(options);
    this.#port = port;
  }

  async get(path: string): Promise<{ readonly status: number; readonly text: string }> {
    const response = await fetch(`http://127.0.0.1:${this.#port}${path}`);
    return { status: response.status, text: await response.text() };
  }

  /** Value of a series of `/metrics`, by its name and labels as they are printed; undefined when there is none. */
  async metric(series: string): Promise<number | undefined> {
    const { text } = await this.get('/metrics');
    const line = text.split('\n').find((one) => one.startsWith(`${series} `));
    return line === undefined ? undefined : Number(line.slice(series.length + 1));
  }

  async leads(): Promise<boolean> {
    return (await this.metric('shard_controller_leader')) === 1;
  }
}

/** A real API server, a real NATS, managers as processes of their own, and simulated nodes. */
export class ManagerFixture {
  readonly apiServer: StandaloneApiServer;
  readonly nats: NatsServer;
  readonly client: KubernetesClient;
  readonly nodes: SimulatedNodes;
  readonly #crds: CrdFixture;
  readonly #folder = mkdtempSync(join(tmpdir(), 'shard-manager-'));
  readonly #managers: Manager[] = [];
  #count = 0;
  #link: NatsLink | undefined;

  static async start(
    options: { readonly warmMs?: number; readonly apiServerArgs?: readonly string[] } = {},
  ): Promise<ManagerFixture> {
    const crds = await CrdFixture.start({ extraArgs: options.apiServerArgs ?? [] });
    const nats = await startNatsServer();
    const fixture = new ManagerFixture(crds, nats, options.warmMs ?? 80);
    await fixture.grant('shard-controller-manager', (await chartRights(NAMESPACE)).manager);
    fixture.nodes.start();
    return fixture;
  }

  private constructor(crds: CrdFixture, nats: NatsServer, warmMs: number) {
    this.#crds = crds;
    this.apiServer = crds.server;
    this.nats = nats;
    const { server, ca, adminToken: token } = crds.server;
    const endpoint = staticEndpoint({ server, ca, token });
    this.client = new KubernetesClient({ endpoint, logger: quiet, userAgent: 'test' });
    this.nodes = new SimulatedNodes({
      client: this.client,
      namespace: NAMESPACE,
      natsUrl: nats.url,
      logger: quiet,
      warmMs,
    });
  }

  async stop(): Promise<void> {
    await this.endManagers();
    await this.nodes.stop();
    await this.#link?.close();
    await this.client.close();
    await this.nats.dispose();
    await this.#crds.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** A token of a ServiceAccount-like user of this name. */
  tokenOf(user: string): string {
    return this.apiServer.tokenFor(user);
  }

  async grant(role: string, rules: readonly PolicyRule[], user = role): Promise<void> {
    const path = (resource: string): string => resourcePath({ group: RBAC, version: 'v1', resource });
    await this.client.create(path('clusterroles'), { metadata: { name: role }, rules });
    await this.client.create(path('clusterrolebindings'), {
      metadata: { name: role },
      roleRef: { apiGroup: RBAC, kind: 'ClusterRole', name: role },
      subjects: [{ apiGroup: RBAC, kind: 'User', name: user }],
    });
  }

  /** A manager as its own process. */
  async manager(options: ManagerOptions = {}): Promise<Manager> {
    this.#count += 1;
    const name = options.name ?? `manager-${this.#count}`;
    const kubeconfig = join(this.#folder, `${name}.kubeconfig`);
    const token = options.token ?? this.tokenOf('shard-controller-manager');
    writeFileSync(kubeconfig, kubeconfigText(this.apiServer, token), { mode: 0o600 });
    const [port = 0] = await freePorts(1);
    const manager = new Manager(port, {
      name,
      command: [process.execPath, '--conditions=@shard/source', MANAGER_MAIN],
      env: {
        HOME: this.#folder,
        KUBECONFIG: kubeconfig,
        POD_NAME: name,
        POD_NAMESPACE: NAMESPACE,
        NATS_URL: this.nats.url,
        HTTP_PORT: String(port),
        LEASE_DURATION: '3s',
        LEASE_RENEW_DEADLINE: '2s',
        LEASE_RETRY_PERIOD: '300ms',
        LOG_LEVEL: 'info',
        ...options.env,
      },
    });
    this.#managers.push(manager);
    return manager;
  }

  async endManagers(): Promise<void> {
    for (const manager of this.#managers.splice(0)) await manager.kill();
  }

  async createConfig(name: string, spec: ShardConfigSpecInput): Promise<void> {
    const object = { apiVersion: 'shard.io/v1', kind: 'ShardConfig', metadata: { name }, spec };
    await this.client.create(configPath(), object);
  }

  async patchConfig(name: string, spec: Partial<ShardConfigSpecInput>): Promise<void> {
    await this.client.patch(configPath(name), { spec });
  }

  async config(name: string): Promise<SeenConfig> {
    return statusSchema.parse(await this.client.get(configPath(name)));
  }

  /** Lets objects past that the API server would refuse, as if they were stored before the rules existed. */
  async withoutRules(plural: string, action: () => Promise<void>): Promise<void> {
    const crd = `${plural}.shard.io`;
    const path = resourcePath({
      group: 'apiextensions.k8s.io',
      version: 'v1',
      resource: 'customresourcedefinitions',
      name: crd,
    });
    const open = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };
    const strict = z.looseObject({
      spec: z.looseObject({ versions: z.array(z.looseObject({ schema: z.unknown() })) }),
    });
    const before = strict.parse(await this.client.get(path));
    const versions = before.spec.versions.map((version) => ({ ...version, schema: { openAPIV3Schema: open } }));
    await this.client.patch(path, { spec: { versions } });
    // Until the server has taken it up, the action is refused.
    await this.eventually(async () => {
      await action();
      return undefined;
    });
    await this.client.patch(path, { spec: { versions: before.spec.versions } });
  }

  /** Deletes all ShardConfigs and what a garbage collector would take with them. */
  async deleteAll(): Promise<void> {
    const collection = (group: string, version: string, resource: string): string =>
      resourcePath({ group, version, resource, namespace: NAMESPACE });
    await this.client.delete(collection('shard.io', 'v1', 'shardconfigs'));
    await this.client.delete(collection('apps', 'v1', 'statefulsets'));
    await this.client.delete(collection('shard.io', 'v1', 'shardinstances'));
    await this.client.delete(collection('', 'v1', 'pods'), { gracePeriodSeconds: 0 });
    await this.nodes.crashAll();
    this.nodes.forget();
  }

  async deleteConfig(name: string): Promise<void> {
    await this.client.delete(configPath(name));
  }

  /** Waits until this many shards serve, in the newest revision, and no slot is on its way. */
  async settled(name: string, shards: number): Promise<SeenConfig> {
    let seen: SeenConfig | undefined;
    await this.eventually(async () => {
      seen = await this.config(name);
      const { desiredShards, readyShards, openMigrations, observedGeneration } = seen.status;
      const isOfSpec = observedGeneration === seen.metadata.generation;
      const fits = isOfSpec && desiredShards === shards && readyShards === shards && seen.status.shards === shards;
      const condition = (type: string) => seen?.status.conditions?.find((one) => one.type === type);
      const isIdle = openMigrations === 0 && seen.status.updatedShards === shards;
      const isReady = condition('Ready')?.status === 'True';
      return fits && isIdle && isReady ? undefined : JSON.stringify(seen.status);
    });
    if (seen === undefined) throw new Error('unreachable');
    return seen;
  }

  /** The manager that leads, once there is one. */
  async leader(): Promise<Manager> {
    let leader: Manager | undefined;
    await this.eventually(async () => {
      for (const manager of this.#managers) if (manager.running && (await manager.leads())) leader = manager;
      return leader === undefined ? 'no manager leads' : undefined;
    });
    if (leader === undefined) throw new Error('unreachable');
    return leader;
  }

  /** Each slot is exposed by exactly one worker, and the workers' numbers of slots differ by at most one. */
  async balanced(shards: number, name = 'main'): Promise<void> {
    await this.eventually(async () => {
      const times = this.nodes.exposure(name, 256);
      if (times.some((count) => count !== 1)) return `exposure: ${times.join('')}`;
      const workers = [...this.nodes.workers.values()].filter(({ options }) => options.address.config === name);
      const counts = workers.map(({ exposed }) => exposed.size).filter((size) => size > 0);
      const isEven = counts.length === shards && Math.max(...counts) - Math.min(...counts) <= 1;
      return isEven ? undefined : `slots per worker: ${counts.join(', ')}`;
    });
  }

  /** Events of the log, oldest first. */
  async eventLog(name: string): Promise<{ readonly type: string; readonly sequence: number; readonly raw: unknown }[]> {
    const { metadata } = await this.config(name);
    const link = await this.link();
    const stream = new EventStream({ link, stream: EVENT_STREAM, schema: decisionSchema });
    const found: { type: string; sequence: number; raw: unknown }[] = [];
    for await (const { sequence, body } of stream.replay(eventSubject(NAMESPACE, name, metadata.uid))) {
      if (body.ok) for (const raw of body.value.events) found.push({ type: raw.type, sequence, raw });
    }
    return found;
  }

  /** Empties what the manager and the workers reported. */
  async eraseStatuses(name: string): Promise<void> {
    const path = (kind: string, of?: string, sub?: string): string =>
      resourcePath({
        group: 'shard.io',
        version: 'v1',
        resource: kind,
        namespace: NAMESPACE,
        name: of,
        subresource: sub,
      });
    const { items } = await this.client.list<{ metadata: { name: string } }>(path('shardinstances'));
    for (const { metadata } of items) {
      await this.client.patch(path('shardinstances', metadata.name, 'status'), { status: null });
    }
    await this.client.patch(path('shardconfigs', name, 'status'), { status: null });
  }

  /** Subjects that hold an assignment. */
  async assignmentSubjects(): Promise<string[]> {
    const { jsm } = (await this.link()).session();
    const { state } = await jsm.streams.info(ASSIGNMENT_STREAM, { subjects_filter: '>' });
    return Object.keys(state.subjects ?? {});
  }

  /** The test's own connection to NATS. */
  async link(): Promise<NatsLink> {
    this.#link ??= await connectNats({ servers: this.nats.url, name: 'test', logger: quiet, requestTimeoutMs: 30_000 });
    await this.#link.waitConnected(PATIENCE_MS);
    return this.#link;
  }

  /** Events on a ShardConfig, as `Reason: note`. */
  async events(name: string): Promise<string[]> {
    const path = resourcePath({ group: 'events.k8s.io', version: 'v1', resource: 'events', namespace: NAMESPACE });
    const { items } = await this.client.list<unknown>(path);
    const schema = z.looseObject({
      reason: z.string(),
      note: z.string(),
      regarding: z.looseObject({ name: z.string() }),
    });
    return items
      .map((raw) => schema.parse(raw))
      .filter(({ regarding }) => regarding.name === name)
      .map(({ reason, note }) => `${reason}: ${note}`);
  }

  /** Waits until `check` finds no problem; fails with the last problem and the managers' logs. */
  async eventually(check: () => Promise<string | undefined>): Promise<void> {
    await untilWell(check, { everyMs: 100, context: () => this.logs() });
  }

  logs(): string {
    return this.#managers
      .map(({ name, output }) => `--- ${name}\n${output.split('\n').slice(-40).join('\n')}`)
      .join('\n');
  }
}

const configPath = (name?: string): string =>
  resourcePath({ group: 'shard.io', version: 'v1', resource: 'shardconfigs', namespace: NAMESPACE, name });

function kubeconfigText({ server, ca }: Pick<StandaloneApiServer, 'server' | 'ca'>, token: string): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'test',
    clusters: [{ name: 'test', cluster: { server, 'certificate-authority-data': Buffer.from(ca).toString('base64') } }],
    users: [{ name: 'test', user: { token } }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'test' } }],
  });
}
