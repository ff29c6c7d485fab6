import {
  KSM_SCALE_GROUP,
  KSM_SCALE_PLURAL,
  KSM_SCALE_VERSION,
  type KsmScale,
  parseKsmScale,
} from '@shard-controller/shared/api';
import {
  type KubernetesClient,
  Reflector,
  type ReflectorHandler,
  type ReflectorOptions,
  resourcePath,
} from '@shard-controller/shared/kubernetes';
import type { Logger } from '@shard-controller/shared/observability';
import type { Clock } from '@shard-controller/shared/runtime';
import { z } from 'zod';
import { parseNode, parseObject, parsePod } from './observed-objects.ts';
import {
  KSM_NAME,
  MANAGED_LABEL,
  NAME_LABEL,
  type ObservedNode,
  type ObservedObject,
  type ObservedPod,
  SCALE_LABEL,
} from './planning/index.ts';

/** A KSMScale that the API server took and our schema does not. */
export interface InvalidScale {
  readonly name: string;
  readonly uid: string;
  readonly problems: readonly string[];
}

export interface ClusterStateOptions {
  readonly client: KubernetesClient;
  /** Namespaces of the pods; undefined: all. */
  readonly namespaces: readonly string[] | undefined;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly handler: {
    /** A KSMScale is another now, and valid. */
    scaleChanged(name: string): void;
    /** A pod of a KSMScale is another now. */
    podsChanged(name: string): void;
    /** Something that all of them are planned by. */
    allChanged(): void;
    removed(name: string): void;
    /** The API server took an object that our schema does not. */
    invalid(object: InvalidScale): void;
  };
}

const identitySchema = z.object({ name: z.string(), uid: z.string() });

/** A created pod that the watch has not shown for so long is gone again. ms. */
const ASSUMED_MS = 30_000;

/** A reflector, whatever it follows. */
type Follower = Pick<Reflector<unknown>, 'run' | 'synced'>;

/** KSMScales, nodes, and what belongs to KSMScales, as the API server last told. */
export class ClusterState {
  readonly #options: ClusterStateOptions;
  readonly #scales = new Map<string, KsmScale>();
  readonly #nodes = new Map<string, ObservedNode>();
  readonly #pods = new Map<string, ObservedPod>();
  readonly #objects = new Map<string, ObservedObject>();
  /** Pods that were created and that the watch has not shown yet, with when; monotonic ms. */
  readonly #assumed = new Map<string, { readonly pod: ObservedPod; readonly at: number }>();
  readonly #reflectors: readonly Follower[];
  readonly synced: Promise<void>;
  #isSynced = false;

  constructor(options: ClusterStateOptions) {
    this.#options = options;
    const places: readonly (string | undefined)[] = options.namespaces ?? [undefined];
    this.#reflectors = [this.#scaleReflector(), this.#nodeReflector(), ...places.flatMap((one) => this.#owned(one))];
    this.synced = Promise.all(this.#reflectors.map(({ synced }) => synced)).then(() => {
      this.#isSynced = true;
      options.handler.allChanged();
    });
  }

  get isSynced(): boolean {
    return this.#isSynced;
  }

  get scales(): readonly KsmScale[] {
    return [...this.#scales.values()];
  }

  get nodes(): readonly ObservedNode[] {
    return [...this.#nodes.values()];
  }

  get objects(): readonly ObservedObject[] {
    return [...this.#objects.values()];
  }

  scale(name: string): KsmScale | undefined {
    return this.#scales.get(name);
  }

  podsOf(name: string): readonly ObservedPod[] {
    const oldest = this.#options.clock.monotonic() - ASSUMED_MS;
    for (const [key, { at }] of this.#assumed) if (at < oldest) this.#assumed.delete(key);
    const assumed = [...this.#assumed.values()].map(({ pod }) => pod);
    return [...this.#pods.values(), ...assumed].filter(({ labels }) => labels[SCALE_LABEL] === name);
  }

  /** Counts a pod that was just created before the watch shows it: the next pass would otherwise plan it again elsewhere. */
  assume(created: Readonly<Record<string, unknown>>): void {
    const parsed = parsePod(created);
    if (!parsed.ok || this.#pods.has(podKey(parsed.value))) return;
    this.#assumed.set(podKey(parsed.value), { pod: parsed.value, at: this.#options.clock.monotonic() });
  }

  async run(signal: AbortSignal): Promise<void> {
    await Promise.all(this.#reflectors.map((reflector) => reflector.run(signal)));
  }

  #scaleReflector(): Reflector<KsmScale> {
    const { handler } = this.#options;
    return this.#reflector<KsmScale>({
      path: resourcePath({ group: KSM_SCALE_GROUP, version: KSM_SCALE_VERSION, resource: KSM_SCALE_PLURAL }),
      parse: parseKsmScale,
      handler: {
        ...keeping(
          this.#scales,
          ({ metadata: { name } }) => name,
          (before, after) => {
            if (after === undefined) handler.removed(before?.metadata.name ?? '');
            else if (before === undefined || asksForMore(before, after)) handler.scaleChanged(after.metadata.name);
          },
        ),
        invalid: ({ metadata }, problems) => {
          const parsed = identitySchema.safeParse(metadata);
          if (parsed.success) handler.invalid({ ...parsed.data, problems });
        },
        removeInvalid: ({ metadata }) => handler.removed(identitySchema.safeParse(metadata).data?.name ?? ''),
      },
    });
  }

  #nodeReflector(): Reflector<ObservedNode> {
    return this.#reflector<ObservedNode>({
      path: resourcePath({ group: '', version: 'v1', resource: 'nodes' }),
      metadataOnly: true,
      parse: parseNode,
      handler: keeping(
        this.#nodes,
        ({ name }) => name,
        (before, after) => {
          if (before?.zone !== after?.zone || before === undefined || after === undefined) {
            this.#options.handler.allChanged();
          }
        },
      ),
    });
  }

  #owned(namespace: string | undefined): readonly Follower[] {
    const { handler } = this.#options;
    const pods = this.#reflector<ObservedPod>({
      path: resourcePath({ group: '', version: 'v1', resource: 'pods', namespace }),
      query: { labelSelector: `${NAME_LABEL}=${KSM_NAME},${SCALE_LABEL}` },
      parse: parsePod,
      handler: keeping(this.#pods, podKey, (before, after) => {
        for (const pod of [before, after]) {
          if (pod === undefined) continue;
          this.#assumed.delete(podKey(pod));
          handler.podsChanged(pod.labels[SCALE_LABEL] ?? '');
        }
      }),
    });
    const objects = [
      { group: '', resource: 'services' },
      { group: 'policy', resource: 'poddisruptionbudgets' },
    ].map(({ group, resource }) =>
      this.#reflector<ObservedObject>({
        path: resourcePath({ group, version: 'v1', resource, namespace }),
        query: { labelSelector: MANAGED_LABEL },
        parse: parseObject,
        handler: keeping(this.#objects, objectKey, () => handler.allChanged()),
      }),
    );
    return [pods, ...objects];
  }

  #reflector<T>(
    options: Pick<ReflectorOptions<T>, 'path' | 'query' | 'parse' | 'handler' | 'metadataOnly'>,
  ): Reflector<T> {
    const { client, logger, clock } = this.#options;
    return new Reflector<T>({ client, logger, clock, ...options });
  }
}

const podKey = ({ namespace, name }: ObservedPod): string => `${namespace}/${name}`;
const objectKey = ({ kind, namespace, name }: ObservedObject): string => `${kind}/${namespace}/${name}`;

/** Our own status comes back as a change, too. */
const asksForMore = (before: KsmScale, after: KsmScale): boolean =>
  before.metadata.uid !== after.metadata.uid ||
  before.metadata.generation !== after.metadata.generation ||
  JSON.stringify(before.metadata.labels) !== JSON.stringify(after.metadata.labels);

/** Keeps a map in step with a collection, or a part of one, and tells of each difference. */
function keeping<T>(
  map: Map<string, T>,
  keyOf: (item: T) => string,
  changed: (before: T | undefined, after: T | undefined) => void,
): ReflectorHandler<T> {
  // Several collections may share a map: a list only speaks of what came from its own.
  const own = new Set<string>();
  const put = (item: T): void => {
    const key = keyOf(item);
    const before = map.get(key);
    map.set(key, item);
    own.add(key);
    changed(before, item);
  };
  const drop = (key: string): void => {
    const before = map.get(key);
    map.delete(key);
    own.delete(key);
    changed(before, undefined);
  };
  return {
    replace: (items) => {
      const keys = new Set(items.map(keyOf));
      for (const key of own) if (!keys.has(key)) drop(key);
      for (const item of items) put(item);
    },
    upsert: put,
    remove: (item) => drop(keyOf(item)),
  };
}
