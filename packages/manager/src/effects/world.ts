import {
  GROUP,
  SHARD_INSTANCE_PLURAL,
  type ShardConfigSpec,
  type ShardInstance,
  shardInstanceName,
  VERSION,
} from '@shard-controller/shared/api';
import { type Assignment, compareEpoch } from '@shard-controller/shared/contracts';
import {
  isAborted,
  isConflict,
  isNotFound,
  type KubernetesClient,
  KubernetesError,
  resourcePath,
} from '@shard-controller/shared/kubernetes';
import type { KubernetesObject } from '@shard-controller/shared/kubernetes';
import type { Logger } from '@shard-controller/shared/observability';
import { SURGE } from '../aggregate/index.ts';
import type { WorkerSettings } from '../config/index.ts';
import type { Desired, DesiredStatefulSet } from '../decision/index.ts';
import { type ConfigIdentity, FIELD_MANAGER, type PodRole, REVISION_LABEL, statefulSetName } from '../naming/index.ts';
import type { WorkerPod } from '../observation/index.ts';
import type { AssignmentPublisher } from './assignments.ts';
import { disruptionBudget, metricsService } from './metrics-service.ts';
import { belonging, ForeignObjectError, PredecessorObjectError } from './ownership.ts';
import { needsWrite, shardInstanceOf } from './shard-instance.ts';
import { surgeStatefulSet, workerStatefulSet } from './stateful-set.ts';
import { templateRevision, type WorkerPodInput } from './worker-pod.ts';

export interface WorldOptions {
  readonly client: Pick<KubernetesClient, 'apply' | 'delete' | 'find' | 'patch' | 'pathOf'>;
  /**
   * Whether this manager leads at the moment of the call. StatefulSets, pods and deletions have no epoch that would fence a
   * former leader that comes to itself late.
   */
  readonly leads: () => boolean;
  readonly publisher: Pick<AssignmentPublisher, 'publish' | 'forget' | 'remove'>;
  readonly worker: WorkerSettings;
  readonly logger: Pick<Logger, 'info'>;
}

/** What the world should be, and what is seen of it. */
export interface WorldInput {
  readonly config: ConfigIdentity;
  /** Undefined while no valid form of it is known: then pods are made from the template that the StatefulSets have. */
  readonly spec: ShardConfigSpec | undefined;
  /** How far the state goes in the log. */
  readonly head: Pick<Assignment, 'generation' | 'epoch'>;
  readonly desired: Desired;
  /** Wanted template revision of the state; a spec that renders another one is not in force (yet). */
  readonly revision: string;
  readonly instances: ReadonlyMap<string, ShardInstance>;
  readonly pods: readonly WorkerPod[];
  /** Compare everything with the cluster, also what was applied before. */
  readonly resync: boolean;
}

/** One sentence, with the code of the error. */
interface WorldProblem {
  readonly code: string;
  readonly message: string;
}

export interface WorldOutcome {
  /** Everything is as it should be; otherwise look again soon. */
  readonly settled: boolean;
  /** Somebody holds a newer assignment than ours: we are probably not the leader any more. */
  readonly superseded: boolean;
  /** What could not be done and why. */
  readonly problems: readonly WorldProblem[];
}

type Effect = () => Promise<boolean>;

interface StatefulSetSeen extends KubernetesObject {
  readonly spec?: {
    readonly replicas?: number;
    readonly template?: { readonly metadata?: { readonly labels?: Readonly<Record<string, string>> } };
  };
  readonly status?: { readonly observedGeneration?: number };
}

const isObserved = ({ metadata, status }: StatefulSetSeen): boolean =>
  (status?.observedGeneration ?? 0) >= (metadata?.generation ?? 0);

const statefulSetPath = (namespace: string, name: string): string =>
  resourcePath({ group: 'apps', version: 'v1', resource: 'statefulsets', namespace, name });

/** A StatefulSet has to be made, and nobody knows what its pods look like. */
class TemplateMissingError extends Error {
  readonly code = 'SC_TEMPLATE_MISSING';
  override readonly name = 'TemplateMissingError';
}

/**
 * Makes the world what the state says, for one ShardConfig. Idempotent: each call compares and changes the difference,
 * and a failure of one effect does not hold up the others. Calls must not overlap.
 */
export class World {
  readonly #options: WorldOptions;
  /** JSON of what was applied last, by object. */
  readonly #applied = new Map<string, string>();
  /** uid of each object that is known to be the ShardConfig's own: nothing else is written. */
  readonly #own = new Map<string, string>();
  /** ShardInstances that were seen since they were written: one that is missing then was deleted. */
  readonly #seen = new Set<string>();
  /** StatefulSets whose controller has seen the applied template. */
  readonly #templateSeen = new Set<string>();

  constructor(options: WorldOptions) {
    this.#options = options;
  }

  async reconcile(input: WorldInput, signal: AbortSignal): Promise<WorldOutcome> {
    if (isSuperseded(input)) return { settled: false, superseded: true, problems: [] };
    if (input.resync) {
      this.#applied.clear();
      this.#options.publisher.forget();
    }
    const problems = new Map<string, WorldProblem>();
    let settled = true;
    let superseded = false;
    const attempt = async (effect: Effect): Promise<void> => {
      if (signal.aborted || !this.#options.leads()) return;
      try {
        if (!(await effect())) settled = false;
      } catch (error) {
        if (signal.aborted) return;
        settled = false;
        if (isAborted(error)) return;
        const problem = problemOf(error);
        problems.set(problem.message, problem);
      }
    };
    const assign = async (assignment: Assignment): Promise<boolean> => {
      const outcome = await this.#assign(assignment, input, signal);
      if (outcome === 'superseded') superseded = true;
      return outcome === 'done';
    };
    // Assignments first: a failover waits for nothing else.
    await Promise.all(input.desired.assignments.map((assignment) => attempt(() => assign(assignment))));
    await attempt(() => this.#apply(metricsService(input.config), input.config, signal));
    await this.#workload(input, attempt, signal);
    await this.#leftovers(input, attempt, signal);
    return { settled, superseded, problems: [...problems.values()] };
  }

  /** The ShardInstance first, then NATS: a worker that hears of an assignment can always read it again. */
  async #assign(
    assignment: Assignment,
    { config, instances }: WorldInput,
    signal: AbortSignal,
  ): Promise<'done' | 'later' | 'superseded'> {
    const existing = instances.get(assignment.shardId);
    if (existing !== undefined && existing.spec.shardConfigRef.uid !== assignment.shardConfig.uid) {
      if (belonging(existing.metadata, config) === 'foreign') throw new ForeignObjectError(existing, config);
      // Left by a ShardConfig of the same name; its owner reference will take it, too, but later.
      await this.#deleteInstance(existing, signal);
      return 'later';
    }
    const key = `ShardInstance/${shardInstanceName(assignment.shardConfig.name, assignment.shardId)}`;
    if (existing !== undefined) {
      // It names this very ShardConfig.
      this.#own.set(key, existing.metadata.uid);
      this.#seen.add(key);
    } else if (this.#seen.delete(key)) {
      this.#own.delete(key);
      this.#applied.delete(key);
    }
    if (needsWrite(existing, assignment) && this.#applied.get(key) !== JSON.stringify(assignment)) {
      try {
        await this.#write(key, shardInstanceOf(assignment), config, signal);
        this.#applied.set(key, JSON.stringify(assignment));
      } catch (error) {
        if (error instanceof KubernetesError && error.status === 422 && /generation and epoch/.test(error.message)) {
          return 'superseded';
        }
        throw error;
      }
    }
    const publication = await this.#options.publisher.publish(assignment);
    if (publication === 'newer') return 'superseded';
    return publication === 'failed' ? 'later' : 'done';
  }

  async #workload(input: WorldInput, attempt: (e: Effect) => Promise<void>, signal: AbortSignal): Promise<void> {
    const { config, spec, desired, revision } = input;
    if (desired.statefulSets.length === 0) return;
    const given = spec === undefined ? undefined : { config, spec, worker: this.#options.worker };
    // A spec that was not accepted must not reach the pods.
    const pods = given !== undefined && templateRevision(given) === revision ? given : undefined;
    for (const { replica, replicas } of desired.statefulSets) {
      await attempt(() =>
        pods !== undefined && desired.templateProved
          ? this.#applyStatefulSet(workerStatefulSet(pods, replica, replicas), config, signal)
          : this.#scaleStatefulSet(input, { replica, replicas, pods }, signal),
      );
    }
    await this.#surgeWorker(input, pods, attempt, signal);
    if (spec !== undefined && pods !== undefined) await this.#disruptionBudget(input, spec, attempt, signal);
    if (!desired.statefulSets.some(({ replica }) => replica === 'b'))
      await this.#removeStandbys(input, attempt, signal);
    for (const { shardId, replica, unlessRevision, unlessReady, whenOthersReady } of desired.podsToDelete) {
      const pod = input.pods.find((candidate) => candidate.shardId === shardId && candidate.replica === replica);
      if (pod === undefined || pod.deleting || pod.revision === unlessRevision) continue;
      if (unlessReady && pod.ready) continue;
      if (whenOthersReady && pod.ready && !othersReady(input, pod)) continue;
      await attempt(() => this.#deletePod(pod, config, signal));
      // What the next one has to wait for shows in the pods only later.
      if (whenOthersReady) break;
    }
  }

  async #surgeWorker(
    { config, desired, pods: seen, resync }: WorldInput,
    pods: WorkerPodInput | undefined,
    attempt: (e: Effect) => Promise<void>,
    signal: AbortSignal,
  ): Promise<void> {
    if (desired.surge) {
      if (pods !== undefined) await attempt(() => this.#applyStatefulSet(surgeStatefulSet(pods), config, signal));
    } else if (resync || seen.some(({ shardId }) => shardId === SURGE)) {
      await this.#removeStatefulSet(config, 'surge', attempt, signal);
    }
  }

  async #disruptionBudget(
    { config, desired, resync }: WorldInput,
    spec: ShardConfigSpec,
    attempt: (e: Effect) => Promise<void>,
    signal: AbortSignal,
  ): Promise<void> {
    if (spec.distribution.enablePDB) {
      const shards = desired.statefulSets[0]?.replicas ?? 1;
      const budget = disruptionBudget(config, shards, spec.distribution.maxUnavailable);
      await attempt(() => this.#apply(budget, config, signal));
    } else if (resync) {
      const address = { group: 'policy', version: 'v1', resource: 'poddisruptionbudgets' };
      const path = resourcePath({ ...address, namespace: config.namespace, name: config.name });
      await attempt(() => this.#deleteOwn(path, config, signal));
    }
  }

  /** The second StatefulSet of a ShardConfig that has one replica per shard (again). */
  async #removeStandbys(
    { config, pods, resync }: WorldInput,
    attempt: (e: Effect) => Promise<void>,
    signal: AbortSignal,
  ): Promise<void> {
    if (!resync && !pods.some(({ replica }) => replica === 'b')) return;
    await this.#removeStatefulSet(config, 'b', attempt, signal);
  }

  async #removeStatefulSet(
    config: ConfigIdentity,
    role: PodRole,
    attempt: (e: Effect) => Promise<void>,
    signal: AbortSignal,
  ): Promise<void> {
    const name = statefulSetName(config.name, role);
    this.#applied.delete(`StatefulSet/${name}`);
    await attempt(() => this.#deleteOwn(statefulSetPath(config.namespace, name), config, signal));
  }

  async #leftovers(input: WorldInput, attempt: (e: Effect) => Promise<void>, signal: AbortSignal): Promise<void> {
    const { config, desired, instances } = input;
    // Without a wanted assignment nothing is known yet: then nothing is a leftover.
    if (desired.assignments.length === 0) return;
    const wanted = new Set(desired.assignments.map(({ shardId }) => shardId));
    for (const [shardId, instance] of instances) {
      if (wanted.has(shardId) || instance.metadata.deletionTimestamp !== undefined) continue;
      if (instance.spec.shardConfigRef.uid !== config.uid && belonging(instance.metadata, config) === 'foreign')
        continue;
      await attempt(async () => {
        await this.#deleteInstance(instance, signal);
        await this.#options.publisher.remove(config, shardId);
        this.#applied.delete(`ShardInstance/${instance.metadata.name}`);
        return true;
      });
    }
  }

  async #apply(object: KubernetesObject, config: ConfigIdentity, signal: AbortSignal): Promise<boolean> {
    const key = `${object.kind}/${object.metadata?.name}`;
    const content = JSON.stringify(object);
    if (this.#applied.get(key) === content) return true;
    await this.#write(key, object, config, signal);
    this.#applied.set(key, content);
    return true;
  }

  async #applyStatefulSet(object: KubernetesObject, config: ConfigIdentity, signal: AbortSignal): Promise<boolean> {
    const name = object.metadata?.name ?? '';
    const key = `StatefulSet/${name}`;
    const content = JSON.stringify(object);
    if (this.#applied.get(key) === content && this.#templateSeen.has(name)) return true;
    const applied = await this.#write<StatefulSetSeen>(key, object, config, signal);
    this.#applied.set(key, content);
    this.#noteTemplate(name, applied, true);
    return isObserved(applied);
  }

  /**
   * Changes the number of pods and leaves the template as it is: the wanted one is not proved, or not known. The
   * StatefulSet itself is where the last good template is kept.
   */
  async #scaleStatefulSet(
    { config, revision }: WorldInput,
    { replica, replicas, pods }: DesiredStatefulSet & { readonly pods: WorkerPodInput | undefined },
    signal: AbortSignal,
  ): Promise<boolean> {
    const name = statefulSetName(config.name, replica);
    const content = `${replicas} pods`;
    if (this.#applied.get(`StatefulSet/${name}`) === content && this.#templateSeen.has(name)) return true;
    const path = statefulSetPath(config.namespace, name);
    const before = await this.#options.client.find<StatefulSetSeen>(path, { signal });
    if (before === undefined) {
      // Then nobody runs whom a template that is not proved could harm.
      if (pods !== undefined) return this.#applyStatefulSet(workerStatefulSet(pods, replica, replicas), config, signal);
      throw new TemplateMissingError(`StatefulSet ${name} is gone, and without a valid spec it cannot be made again`);
    }
    const whose = belonging(before.metadata, config);
    const named = { kind: 'StatefulSet', metadata: { name } };
    if (whose === 'foreign') throw new ForeignObjectError(named, config);
    if (whose === 'predecessor') throw new PredecessorObjectError(named, config);
    if (!this.#options.leads()) return false;
    const patch = { metadata: { uid: before.metadata?.uid }, spec: { replicas } };
    const query = { fieldManager: FIELD_MANAGER };
    const after =
      before.spec?.replicas === replicas
        ? before
        : await this.#options.client.patch<StatefulSetSeen>(path, patch, { query, signal });
    this.#applied.set(`StatefulSet/${name}`, content);
    const hasTemplate = after.spec?.template?.metadata?.labels?.[REVISION_LABEL] === revision;
    this.#noteTemplate(name, after, hasTemplate);
    return isObserved(after);
  }

  #noteTemplate(name: string, seen: StatefulSetSeen, isWanted: boolean): void {
    if (isWanted && isObserved(seen)) this.#templateSeen.add(name);
    else this.#templateSeen.delete(name);
  }

  /**
   * Applies an object that is the ShardConfig's own, or makes it. By force only what is known to be its own: an apply by
   * name would take over whatever stands there, and the garbage collector would delete it with the ShardConfig.
   * @throws ForeignObjectError, PredecessorObjectError
   */
  async #write<T extends KubernetesObject>(
    key: string,
    object: KubernetesObject,
    config: ConfigIdentity,
    signal: AbortSignal,
  ): Promise<T> {
    const { client, leads: maySend } = this.#options;
    const uid = this.#own.get(key) ?? (await this.#ownUid(object, config, signal));
    const known = uid === undefined ? object : { ...object, metadata: { ...object.metadata, uid } };
    try {
      const force = uid !== undefined;
      const written = await client.apply<T>({ object: known, fieldManager: FIELD_MANAGER, force, signal, maySend });
      const now = written.metadata?.uid;
      if (now !== undefined) this.#own.set(key, now);
      return written;
    } catch (error) {
      // It was deleted, or another one has come: look again.
      if (isConflict(error)) this.#own.delete(key);
      throw error;
    }
  }

  /** uid of the object that stands under this name, undefined for none. @throws when it is somebody else's */
  async #ownUid(object: KubernetesObject, config: ConfigIdentity, signal: AbortSignal): Promise<string | undefined> {
    const { client } = this.#options;
    const present = await client.find<KubernetesObject>(await client.pathOf(object, undefined, signal), { signal });
    if (present === undefined) return undefined;
    const whose = belonging(present.metadata, config);
    if (whose === 'foreign') throw new ForeignObjectError(object, config);
    if (whose === 'predecessor') throw new PredecessorObjectError(object, config);
    return present.metadata?.uid;
  }

  /** Deletes an object unless it is somebody else's. */
  async #deleteOwn(path: string, config: ConfigIdentity, signal: AbortSignal): Promise<boolean> {
    const present = await this.#options.client.find<KubernetesObject>(path, { signal });
    if (present === undefined || belonging(present.metadata, config) === 'foreign') return true;
    const uid = present.metadata?.uid;
    return this.#delete(path, uid === undefined ? {} : { uid }, signal);
  }

  /** Only once the StatefulSet's controller knows the new template; else it would make the old pod again. */
  async #deletePod(pod: WorkerPod, config: ConfigIdentity, signal: AbortSignal): Promise<boolean> {
    if (!this.#templateSeen.has(statefulSetName(config.name, pod.replica))) return false;
    this.#options.logger.info(
      { pod: pod.name, revision: pod.revision },
      'deleting an outdated worker that serves nothing',
    );
    const path = resourcePath({
      group: '',
      version: 'v1',
      resource: 'pods',
      namespace: config.namespace,
      name: pod.name,
    });
    return this.#delete(path, { uid: pod.uid }, signal);
  }

  async #deleteInstance({ metadata }: ShardInstance, signal: AbortSignal): Promise<boolean> {
    const path = resourcePath({
      group: GROUP,
      version: VERSION,
      resource: SHARD_INSTANCE_PLURAL,
      namespace: metadata.namespace,
      name: metadata.name,
    });
    return this.#delete(path, { uid: metadata.uid }, signal);
  }

  async #delete(path: string, preconditions: { readonly uid?: string }, signal: AbortSignal): Promise<boolean> {
    try {
      await this.#options.client.delete(path, { preconditions, signal, maySend: this.#options.leads });
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
    return true;
  }
}

/** Whether a ShardInstance holds what a later decision than those of the state said. */
function isSuperseded({ config, head, instances }: WorldInput): boolean {
  return [...instances.values()].some(
    ({ spec }) => spec.shardConfigRef.uid === config.uid && compareEpoch(spec, head) > 0,
  );
}

/** Whether every worker pod but `pod` is there and ready. */
function othersReady({ desired, pods }: WorldInput, pod: WorkerPod): boolean {
  const wanted = desired.statefulSets.reduce((sum, { replicas }) => sum + replicas, 0);
  return pods.length >= wanted && pods.every((other) => other.uid === pod.uid || (other.ready && !other.deleting));
}

function problemOf(error: unknown): WorldProblem {
  if (!(error instanceof Error)) return { code: 'SC_EFFECT', message: String(error) };
  const code = 'code' in error && typeof error.code === 'string' ? error.code : 'SC_EFFECT';
  return { code, message: error.message };
}
