import { resourcePath } from '@shard-controller/shared/kubernetes';
import { PATIENCE_MS, retried } from '@shard-controller/shared/testing';
import type { Cluster } from '../cluster.ts';
import { type ImageCatalog, source } from '../process-node/images.ts';
import { type Pod, podSchema } from '../process-node/pod.ts';

/** A small HTTP server for tests of the cluster itself; see `http-pod.ts`. */
const HTTP_POD = 'http-pod';
export const testImages: ImageCatalog = { [HTTP_POD]: source('e2e/src/cluster/testing/http-pod.ts') };

export const NAMESPACE = 'default';

type Template = Readonly<Record<string, unknown>>;

/** A StatefulSet of {@link HTTP_POD}, parallel as the worker's own are. */
export function httpStatefulSet(
  name: string,
  replicas: number,
  container: Template = {},
  spec: Template = {},
): Template {
  const labels = { app: name };
  return {
    apiVersion: 'apps/v1',
    kind: 'StatefulSet',
    metadata: { name, namespace: NAMESPACE },
    spec: {
      serviceName: name,
      replicas,
      podManagementPolicy: 'Parallel',
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: { terminationGracePeriodSeconds: 5, ...spec, containers: [httpContainer(container)] },
      },
    },
  };
}

export function httpPod(name: string, container: Template = {}, spec: Template = {}): Template {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: NAMESPACE, labels: { app: name }, annotations: { note: 'seen' } },
    spec: { terminationGracePeriodSeconds: 5, ...spec, containers: [httpContainer(container)] },
  };
}

function httpContainer(more: Template): Template {
  return {
    name: 'http',
    image: `${HTTP_POD}:1`,
    ports: [{ name: 'http', containerPort: 8080 }],
    readinessProbe: { httpGet: { path: '/ready', port: 'http' }, periodSeconds: 1, failureThreshold: 1 },
    ...more,
  };
}

export const PODS = resourcePath({ group: '', version: 'v1', resource: 'pods', namespace: NAMESPACE });
export const STATEFUL_SETS = resourcePath({
  group: 'apps',
  version: 'v1',
  resource: 'statefulsets',
  namespace: NAMESPACE,
});

/** Reads and waits, with the pods' status as the error message when something does not happen. */
export class PodWatcher {
  readonly #cluster: Cluster;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  async all(app: string): Promise<readonly Pod[]> {
    const list = await this.#cluster.admin.list<unknown>(PODS, { query: { labelSelector: `app=${app}` } });
    return list.items.flatMap((item) => podSchema.safeParse(item).data ?? []);
  }

  async one(name: string): Promise<Pod | undefined> {
    return podSchema.safeParse(await this.#cluster.admin.find(`${PODS}/${name}`)).data;
  }

  /** Waits until the pods of `app` are exactly these and all Ready. */
  async ready(app: string, ...names: string[]): Promise<readonly Pod[]> {
    return this.until(app, (pods) => pods.map(nameOf).toSorted().join() === names.join() && pods.every(isReady));
  }

  async until(app: string, done: (pods: readonly Pod[]) => boolean): Promise<readonly Pod[]> {
    return await retried(
      async () => {
        const pods = await this.all(app);
        if (done(pods)) return pods;
        const seen = pods.map(({ metadata, status }) => ({ name: metadata.name, status }));
        throw new Error(`pods of ${app} are not as expected: ${JSON.stringify(seen, null, 1)}`);
      },
      { everyMs: 50 },
    );
  }

  /** GET of a running pod. */
  async get(pod: Pod, path: string): Promise<string> {
    const answer = await fetch(`http://${pod.status?.podIP}:8080${path}`, { signal: AbortSignal.timeout(PATIENCE_MS) });
    return answer.text();
  }
}

export function nameOf(pod: Pod): string {
  return pod.metadata.name;
}

export function isReady(pod: Pod): boolean {
  return pod.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false;
}

export function restarts(pod: Pod | undefined): number | undefined {
  return pod?.status?.containerStatuses?.[0]?.restartCount;
}
