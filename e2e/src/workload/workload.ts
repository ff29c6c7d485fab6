import type { KubernetesClient } from '@shard-controller/shared/kubernetes';
import { KubernetesError } from '@shard-controller/shared/kubernetes';
import { fakeNode, type Kind, KINDS, pathOf, POD, pod, WIDGET_DEFINITION } from './kinds.ts';
import { Random } from './random.ts';

export interface WorkloadOptions {
  readonly client: KubernetesClient;
  readonly seed: number;
  /** Pods; the other kinds come in proportion. */
  readonly pods: number;
  readonly nodes: number;
  readonly namespaces: number;
  /** Called now and then with the number of objects made so far. */
  readonly onProgress?: (made: number, total: number) => void;
}

/** An object that churn may touch. */
export interface Item {
  readonly kind: Kind | typeof POD;
  readonly namespace: string;
  readonly name: string;
  readonly index: number;
}

const WRITERS = 16;

/** The objects of a run. Made once, then changed by `Churn`, which keeps `items` in step. */
export class Workload {
  readonly client: KubernetesClient;
  readonly random: Random;
  readonly items: Item[] = [];
  readonly #options: WorkloadOptions;
  #nextIndex = 0;

  constructor(options: WorkloadOptions) {
    this.client = options.client;
    this.random = new Random(options.seed);
    this.#options = options;
  }

  /** Installs the custom resource's definition and waits until it is served. */
  async define(): Promise<void> {
    const path = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
    await this.#create(path, WIDGET_DEFINITION);
    for (;;) {
      const served = await this.client.find(
        pathOf({ apiVersion: 'demo.shard.io/v1', plural: 'widgets', namespaced: false }, ''),
      );
      if (served !== undefined) return;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  async populate(): Promise<void> {
    const { nodes, namespaces, pods } = this.#options;
    await this.#inParallel(range(namespaces), (i) =>
      this.#create('/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespaceName(i) } }),
    );
    await this.#inParallel(range(nodes), (i) => this.#create('/api/v1/nodes', fakeNode(nodeName(i))));
    // Pods are refused until the namespace's ServiceAccount is there; where a controller makes it, it may be first.
    await this.#inParallel(range(namespaces), (i) => {
      const path = `/api/v1/namespaces/${namespaceName(i)}/serviceaccounts`;
      return this.#create(path, { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'default' } });
    });
    const planned: (Kind | typeof POD)[] = range(pods).map(() => POD);
    for (const kind of KINDS) {
      planned.push(...range(Math.max(1, Math.round((kind.perThousandPods * pods) / 1000))).map(() => kind));
    }
    let made = 0;
    await this.#inParallel(planned, async (kind) => {
      await this.create(kind);
      made++;
      if (made % 250 === 0 || made === planned.length) this.#options.onProgress?.(made, planned.length);
    });
  }

  /** Creates one more object of a kind and keeps it in `items`. */
  async create(kind: Kind | typeof POD): Promise<void> {
    const index = this.#nextIndex++;
    const item: Item = {
      kind,
      namespace: namespaceName(index % this.#options.namespaces),
      name: `${kind.kind.toLowerCase()}-${index}`,
      index,
    };
    await this.write(item);
    this.items.push(item);
  }

  /** Writes `item` (again): its uid is a new one each time. */
  async write(item: Item): Promise<void> {
    await this.#create(pathOf(item.kind, item.namespace), this.#objectOf(item));
  }

  #objectOf({ kind, namespace, name, index }: Item): unknown {
    const labels = { app: `app-${index % 50}`, revision: '0' };
    if (!('body' in kind)) return pod(name, namespace, nodeName(index % this.#options.nodes), labels);
    return {
      apiVersion: kind.apiVersion,
      kind: kind.kind,
      metadata: kind.namespaced ? { name, namespace, labels } : { name, labels },
      ...kind.body(index),
    };
  }

  async #create(path: string, object: unknown): Promise<void> {
    try {
      await this.client.create(path, object);
    } catch (error) {
      if (error instanceof KubernetesError && error.status === 409) return;
      throw error;
    }
  }

  async #inParallel<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
    const queue = items.values();
    await Promise.all(
      range(WRITERS).map(async () => {
        for (const item of queue) await work(item);
      }),
    );
  }
}

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
const namespaceName = (index: number): string => `team-${index}`;
const nodeName = (index: number): string => `fake-${String(index).padStart(3, '0')}`;
