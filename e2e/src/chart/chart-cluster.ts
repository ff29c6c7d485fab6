import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isNotFound, KubernetesClient, resourcePath, staticEndpoint } from '@shard-controller/shared/kubernetes';
import { createLogger } from '@shard-controller/shared/observability';
import { untilWell } from '@shard-controller/shared/testing';
import { type StandaloneApiServer, startApiServer } from '../cluster/standalone-api-server.ts';
import type { Manifest } from './render.ts';

const FIELD_MANAGER = 'test';

/** A real API server to install the chart into. It has no controllers, so nothing runs. */
export class ChartCluster {
  readonly server: StandaloneApiServer;
  readonly client: KubernetesClient;
  readonly #folder = mkdtempSync(join(tmpdir(), 'shard-chart-'));

  static async start(): Promise<ChartCluster> {
    return new ChartCluster(await startApiServer());
  }

  private constructor(server: StandaloneApiServer) {
    this.server = server;
    const endpoint = staticEndpoint({ server: server.server, ca: server.ca, token: server.adminToken });
    const logger = createLogger({ name: 'test', level: 'silent' });
    this.client = new KubernetesClient({ endpoint, logger, userAgent: 'test' });
  }

  async stop(): Promise<void> {
    await this.client.close();
    await this.server.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** A file with `content` in a folder that goes with this. */
  file(name: string, content: string): string {
    const path = join(this.#folder, name);
    writeFileSync(path, content, { mode: 0o600 });
    return path;
  }

  /** A kubeconfig file of the administrator, or of whom the token is. */
  kubeconfig(token = this.server.adminToken): string {
    const { server, ca } = this.server;
    const text = JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'test',
      clusters: [
        { name: 'test', cluster: { server, 'certificate-authority-data': Buffer.from(ca).toString('base64') } },
      ],
      users: [{ name: 'test', user: { token } }],
      contexts: [{ name: 'test', context: { cluster: 'test', user: 'test' } }],
    });
    return this.file('kubeconfig', text);
  }

  /** A namespace that takes only pods of the restricted profile, with the account that the missing controller would make. */
  async restrictedNamespace(name: string): Promise<void> {
    const labels = { 'pod-security.kubernetes.io/enforce': 'restricted' };
    await this.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } });
    await this.apply({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'default', namespace: name } });
  }

  async apply(object: Manifest): Promise<void> {
    await this.client.apply({ object, fieldManager: FIELD_MANAGER, force: true });
  }

  /** Has the API server check an object as it would store it: fields it does not know, rules, admission. */
  async admit(object: Manifest): Promise<void> {
    const query = { dryRun: 'All', fieldValidation: 'Strict' };
    await this.client.apply({ object, fieldManager: FIELD_MANAGER, force: true, query });
  }

  /** Applies definitions and waits until their kinds are served. */
  async define(definitions: readonly Manifest[]): Promise<void> {
    for (const definition of definitions) await this.apply(definition);
    for (const resource of ['shardconfigs', 'shardinstances']) {
      await untilWell(async () =>
        (await this.exists('shard.io', 'v1', resource)) ? undefined : `${resource} are not served yet`,
      );
    }
  }

  async exists(group: string, version: string, resource: string, namespace?: string, name?: string): Promise<boolean> {
    try {
      await this.client.get(resourcePath({ group, version, resource, namespace, name }));
      return true;
    } catch (error) {
      if (isNotFound(error)) return false;
      throw error;
    }
  }
}
