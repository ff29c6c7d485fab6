import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type KsmScale, type KsmScaleSpecInput, parseKsmScale } from '@shard-controller/shared/api';
import {
  isNotFound,
  KubernetesClient,
  Reflector,
  resourcePath,
  staticEndpoint,
} from '@shard-controller/shared/kubernetes';
import { createLogger } from '@shard-controller/shared/observability';
import { untilWell } from '@shard-controller/shared/testing';
import { z } from 'zod';
import { CrdFixture } from '../api/crd-fixture.ts';
import type { LocalProcess } from '../worker-process/local-process.ts';
import { grantScalePermissions, startScaleManager } from './scale-manager.ts';

const NAMESPACE = 'monitoring';
const USER = 'ksmscale-manager';
const quiet = createLogger({ name: 'test', level: 'silent' });

const podSchema = z.looseObject({
  metadata: z.looseObject({
    name: z.string(),
    uid: z.string(),
    deletionTimestamp: z.string().optional(),
    labels: z.record(z.string(), z.string()).default({}),
  }),
  spec: z.looseObject({
    nodeName: z.string().optional(),
    containers: z.array(z.looseObject({ image: z.string(), args: z.array(z.string()).default([]) })).min(1),
  }),
  status: z
    .looseObject({ conditions: z.array(z.looseObject({ type: z.string(), status: z.string() })).default([]) })
    .prefault({}),
});

type SeenPod = z.infer<typeof podSchema>;

export const isReady = ({ metadata, status }: SeenPod): boolean =>
  metadata.deletionTimestamp === undefined &&
  status.conditions.some(({ type, status: value }) => type === 'Ready' && value === 'True');

const podPath = (name?: string, subresource?: string): string =>
  resourcePath({ group: '', version: 'v1', resource: 'pods', namespace: NAMESPACE, name, subresource });

const objectPath = (group: string, resource: string, name?: string): string =>
  resourcePath({ group, version: 'v1', resource, namespace: NAMESPACE, name });

const nodePath = (name?: string): string => resourcePath({ group: '', version: 'v1', resource: 'nodes', name });

const scalePath = (name?: string): string =>
  resourcePath({ group: 'monitor.example.com', version: 'v1alpha1', resource: 'ksmscales', name });

/** A real API server, and a manager for KSMScales alone, without NATS, that may do what its permissions say and no more. */
export class ScaleFixture {
  readonly client: KubernetesClient;
  readonly #crds: CrdFixture;
  readonly #folder = mkdtempSync(join(tmpdir(), 'ksmscale-'));
  readonly #managers: LocalProcess[] = [];
  readonly #kubelet = new AbortController();
  /** Names of pods that do not get Ready. */
  readonly broken = new Set<string>();

  static async start(): Promise<ScaleFixture> {
    const fixture = new ScaleFixture(await CrdFixture.start());
    const { client } = fixture;
    await client.create(resourcePath({ group: '', version: 'v1', resource: 'namespaces' }), {
      metadata: { name: NAMESPACE },
    });
    await client.create(resourcePath({ group: '', version: 'v1', resource: 'serviceaccounts', namespace: NAMESPACE }), {
      metadata: { name: 'kube-state-metrics' },
    });
    await grantScalePermissions(client, { apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: USER }, NAMESPACE);
    fixture.#runPods();
    return fixture;
  }

  private constructor(crds: CrdFixture) {
    this.#crds = crds;
    const { server, ca, adminToken: token } = crds.server;
    this.client = new KubernetesClient({
      endpoint: staticEndpoint({ server, ca, token }),
      logger: quiet,
      userAgent: 'test',
    });
  }

  async stop(): Promise<void> {
    for (const manager of this.#managers) await manager.kill();
    this.#kubelet.abort();
    await this.client.close();
    await this.#crds.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** A manager as its own process. */
  async manager(name = 'manager'): Promise<LocalProcess> {
    const { server, ca } = this.#crds.server;
    const token = this.#crds.server.tokenFor(USER);
    const manager = await startScaleManager({ name, folder: this.#folder, server, ca, token });
    this.#managers.push(manager);
    return manager;
  }

  async apply(name: string, spec: KsmScaleSpecInput): Promise<void> {
    await this.client.apply({
      object: { apiVersion: 'monitor.example.com/v1alpha1', kind: 'KSMScale', metadata: { name }, spec },
      fieldManager: 'test',
      force: true,
    });
  }

  async scale(name: string): Promise<KsmScale> {
    const parsed = parseKsmScale(await this.client.get(scalePath(name)));
    if (!parsed.ok) throw new Error(parsed.problems.join('; '));
    return parsed.value;
  }

  /** Deletes a KSMScale and what a garbage collector would take with it, also what is made in the meantime. */
  async remove(name: string): Promise<void> {
    await this.client.delete(scalePath(name));
    await this.eventually(async () => {
      const pods = await this.pods(name);
      await Promise.all(pods.map(({ metadata }) => this.client.delete(podPath(metadata.name)).catch(ignoreGone)));
      const paths = [objectPath('', 'services'), objectPath('policy', 'poddisruptionbudgets')];
      const others = await Promise.all(paths.map(async (path) => (await this.client.list(path)).items.length));
      for (const path of paths) await this.client.delete(path);
      const left = pods.length + others.reduce((sum, count) => sum + count, 0);
      return left === 0 ? undefined : `${left} objects of ${name} are left`;
    });
  }

  async pods(scale: string): Promise<readonly SeenPod[]> {
    const query = { labelSelector: `ksmscale.example.com=${scale}` };
    const { items } = await this.client.list(podPath(), { query });
    return items.map((item) => podSchema.parse(item));
  }

  async deletePod(name: string): Promise<void> {
    await this.client.delete(podPath(name));
  }

  /** Changes the status of a pod, as its kubelet would. */
  async patchPodStatus(name: string, status: unknown): Promise<void> {
    await this.client.patch(podPath(name, 'status'), { status });
  }

  async exists(group: string, resource: string, name: string): Promise<boolean> {
    return (await this.client.find(objectPath(group, resource, name))) !== undefined;
  }

  /** As many nodes as said, in three zones. */
  async setNodes(count: number): Promise<void> {
    const { items } = await this.client.list<{ metadata: { name: string } }>(nodePath());
    const have = new Set(items.map(({ metadata }) => metadata.name));
    const wanted = Array.from({ length: count }, (_, index) => `node-${index}`);
    const labels = (index: number) => ({ 'topology.kubernetes.io/zone': `zone-${index % 3}` });
    const missing = wanted
      .map((name, index) => ({ name, labels: labels(index) }))
      .filter(({ name }) => !have.has(name));
    await Promise.all(missing.map((metadata) => this.client.create(nodePath(), { metadata })));
    const needless = [...have].filter((name) => !wanted.includes(name));
    await Promise.all(needless.map((name) => this.client.delete(nodePath(name))));
  }

  /** Events on a KSMScale, as `Reason: note`. */
  async events(name: string): Promise<readonly string[]> {
    const path = resourcePath({ group: 'events.k8s.io', version: 'v1', resource: 'events', namespace: 'default' });
    const schema = z.looseObject({
      reason: z.string(),
      note: z.string(),
      regarding: z.looseObject({ name: z.string() }),
    });
    const { items } = await this.client.list(path);
    return items
      .map((item) => schema.parse(item))
      .filter(({ regarding }) => regarding.name === name)
      .map(({ reason, note }) => `${reason}: ${note}`);
  }

  /** Waits until `check` finds no problem; fails with the last problem and the managers' logs. */
  async eventually(check: () => Promise<string | undefined>): Promise<void> {
    await untilWell(check, { everyMs: 50, context: () => this.logs() });
  }

  logs(): string {
    return this.#managers
      .map(({ name, output }) => `--- ${name}\n${output.split('\n').slice(-40).join('\n')}`)
      .join('\n');
  }

  /** Stands in for scheduler and kubelet: binds pods, makes them Ready, and ends them when they are deleted. */
  #runPods(): void {
    const seen = (pod: SeenPod): void => void this.#runPod(pod).catch(ignoreGone);
    const reflector = new Reflector<SeenPod>({
      client: this.client,
      path: podPath(),
      parse: (raw) => ({ ok: true, value: podSchema.parse(raw) }),
      handler: { replace: (pods) => pods.forEach(seen), upsert: seen, remove: () => undefined },
      logger: quiet,
    });
    void reflector.run(this.#kubelet.signal);
  }

  async #runPod(pod: SeenPod): Promise<void> {
    const { name, uid, deletionTimestamp } = pod.metadata;
    if (deletionTimestamp !== undefined) {
      return this.client.delete(podPath(name), { gracePeriodSeconds: 0, preconditions: { uid } });
    }
    if (pod.spec.nodeName === undefined) {
      const target = { apiVersion: 'v1', kind: 'Node', name: 'node-0' };
      await this.client.create(podPath(name, 'binding'), { metadata: { name }, target });
    }
    if (isReady(pod) || this.broken.has(name)) return;
    const conditions = [{ type: 'Ready', status: 'True' }];
    await this.client.patch(podPath(name, 'status'), { metadata: { uid }, status: { phase: 'Running', conditions } });
  }
}

function ignoreGone(error: unknown): void {
  if (!isNotFound(error) && !String(error).includes('409')) throw error;
}
