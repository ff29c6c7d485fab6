import { type KubernetesClient, KubernetesError } from '@shard-controller/shared/kubernetes';
import { CLUSTER_KINDS } from './cluster-kinds.ts';
import { BAR, CUSTOM_KINDS, FOO } from './custom-kinds.ts';
import { type Fields, type GoldenKind, pick } from './golden-kind.ts';
import { NAMESPACE_KINDS } from './namespace-kinds.ts';
import { POD } from './pod-kind.ts';
import { WORKLOAD_KINDS } from './workload-kinds.ts';

const NAMESPACES = ['alpha', 'beta', 'gamma'] as const;

/** Every kind of the golden cluster; an older API server does not have all of them. */
const GOLDEN_KINDS: readonly GoldenKind[] = [
  ...CLUSTER_KINDS,
  ...NAMESPACE_KINDS,
  ...WORKLOAD_KINDS,
  POD,
  ...CUSTOM_KINDS,
];

const PODS = 42;
const OTHERS = 9;
const WRITERS = 12;
/** Objects of this index are being deleted from the start: a finalizer keeps them. */
const TERMINATING = 4;
/** Plug-ins that would judge or change what is written here. */
export const API_SERVER_ARGS = ['--disable-admission-plugins=ResourceQuota,LimitRanger,TaintNodesByCondition'] as const;

/** Its overhead goes into every pod. */
const RUNTIME_CLASS = {
  apiVersion: 'node.k8s.io/v1',
  kind: 'RuntimeClass',
  metadata: { name: 'golden' },
  handler: 'golden',
  overhead: { podFixed: { cpu: '10m', memory: '8Mi' } },
};
const DEFINITIONS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';

interface GoldenObject {
  readonly kind: GoldenKind;
  readonly index: number;
}

/** Objects of every kind in a real API server, which only this class changes. */
export class GoldenCluster {
  readonly kinds: readonly GoldenKind[];
  /** Kinds of the golden cluster that this API server does not serve. */
  readonly absent: readonly GoldenKind[];
  readonly #client: KubernetesClient;
  readonly #objects: readonly GoldenObject[];

  /** Makes all objects. */
  static async populated(client: KubernetesClient): Promise<GoldenCluster> {
    const cluster = new GoldenCluster(client, await servedBy(client));
    await cluster.#populate();
    return cluster;
  }

  private constructor(client: KubernetesClient, isServed: (kind: GoldenKind) => boolean) {
    this.#client = client;
    this.kinds = GOLDEN_KINDS.filter(isServed);
    this.absent = GOLDEN_KINDS.filter((kind) => !isServed(kind));
    this.#objects = this.kinds.flatMap((kind) =>
      Array.from({ length: kind === POD ? PODS : OTHERS }, (_, index) => ({ kind, index })),
    );
  }

  get size(): number {
    return this.#objects.length;
  }

  async #populate(): Promise<void> {
    for (const definition of [FOO, BAR]) await this.#client.create(DEFINITIONS, definition);
    await this.#client.create('/apis/node.k8s.io/v1/runtimeclasses', RUNTIME_CLASS);
    for (const name of NAMESPACES) {
      await this.#client.create('/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
    }
    for (const { plural, apiVersion } of CUSTOM_KINDS) {
      while ((await this.#client.find(`/apis/${apiVersion}/${plural}`)) === undefined) await pause(50);
    }
    await eachInParallel(this.#objects, (object) => this.#make(object));
  }

  /** Of every kind: one object is changed, one deleted, one deleted and re-created, one is new. */
  async churn(): Promise<void> {
    const touched = this.#objects.filter(({ index }) => index < 3);
    await eachInParallel(touched, async (object) => {
      if (object.index === 0) await this.#change(object);
      else await this.#remove(object);
      if (object.index === 2) await this.#make(object);
    });
    await eachInParallel(this.kinds, (kind) => this.#make({ kind, index: 100 }));
  }

  async #make(object: GoldenObject): Promise<void> {
    const { kind, index } = object;
    const { metadata = {}, ...body } = kind.body(index);
    const path = pathOf(object);
    const common = {
      name: nameOf(object),
      labels: labelsOf(object),
      annotations: annotationsOf(object),
      finalizers: index === TERMINATING ? ['example.com/keep'] : [],
    };
    await this.#client.create(path.slice(0, path.lastIndexOf('/')), {
      apiVersion: kind.apiVersion,
      kind: kind.kind,
      metadata: merged(common, metadata),
      ...body,
    });
    for (const [subresource, patch] of kind.patches?.(index) ?? []) {
      await this.#client.patch(`${path}/${subresource}`, patch);
    }
    if (index === TERMINATING) await this.#client.delete(path, { propagationPolicy: 'Background' });
  }

  async #change(object: GoldenObject): Promise<void> {
    await this.#client.patch(pathOf(object), {
      metadata: { labels: { tier: 'changed', added: 'yes' }, annotations: { note: null, 'example.com/new': 'x' } },
    });
  }

  async #remove(object: GoldenObject): Promise<void> {
    const path = pathOf(object);
    await this.#client.delete(path, { gracePeriodSeconds: 0, propagationPolicy: 'Background' });
    // No controller is there to take finalizers away.
    if (object.kind.kind === 'Namespace') {
      const left = await this.#client.get<object>(path);
      await this.#client.update(`${path}/finalize`, { ...left, spec: { finalizers: [] } });
      return;
    }
    await this.#client.patch(path, { metadata: { finalizers: null } }).catch((error: unknown) => {
      if (!(error instanceof KubernetesError) || error.status !== 404) throw error;
    });
  }
}

/** Says of a kind whether this API server has it, or will once its definition is made. */
async function servedBy(client: KubernetesClient): Promise<(kind: GoldenKind) => boolean> {
  const served = new Set<string>();
  for (const apiVersion of new Set(GOLDEN_KINDS.map((kind) => kind.apiVersion))) {
    const list = await client.find<{ readonly resources: readonly { readonly name: string }[] }>(rootOf(apiVersion));
    for (const { name } of list?.resources ?? []) served.add(`${apiVersion}/${name}`);
  }
  return (kind) => CUSTOM_KINDS.includes(kind) || served.has(`${kind.apiVersion}/${kind.plural}`);
}

const rootOf = (apiVersion: string): string => (apiVersion === 'v1' ? '/api/v1' : `/apis/${apiVersion}`);

const nameOf = ({ kind, index }: GoldenObject): string => `${kind.kind.toLowerCase()}-${index}`;

function pathOf(object: GoldenObject): string {
  const { kind, index } = object;
  const scope = kind.namespaced ? `/namespaces/${NAMESPACES[index % NAMESPACES.length]}` : '';
  return `${rootOf(kind.apiVersion)}${scope}/${kind.plural}/${nameOf(object)}`;
}

const labelsOf = ({ kind, index }: GoldenObject): Readonly<Record<string, string>> => ({
  app: 'golden',
  tier: pick(['front', 'back', ''], index),
  'example.com/odd_Key.1': `value-${index}`,
  // Two keys that become one label name: kube-state-metrics tells them apart, but not for custom resources, where the
  // one that it happens to meet last wins (`addPathLabels` of its customresourcestate).
  ...(CUSTOM_KINDS.includes(kind) ? {} : { 'same-name': 'a', 'same.name': 'b' }),
});

const annotationsOf = ({ index }: GoldenObject): Readonly<Record<string, string>> => ({
  note: `quotes " and \\ and\nlines and ünïcödé ${index}`,
  'example.com/owner': `team-${index % 4}`,
  'example.com/big': 'x'.repeat(500),
});

/** `more` wins; labels and annotations are put together. */
function merged(base: Fields, more: unknown): Fields {
  if (!isFields(more)) return base;
  const result: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(more)) {
    const known = result[key];
    result[key] = isFields(known) && isFields(value) ? { ...known, ...value } : value;
  }
  return result;
}

const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function eachInParallel<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = items.values();
  await Promise.all(
    Array.from({ length: WRITERS }, async () => {
      for (const item of queue) await work(item);
    }),
  );
}
