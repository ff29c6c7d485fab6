import type { ShardConfigSpec, ShardInstance } from '@shard-controller/shared/api';
import { type Assignment, compareEpoch } from '@shard-controller/shared/contracts';
import { type KubernetesClient, resourcePath } from '@shard-controller/shared/kubernetes';
import type { Logger } from '@shard-controller/shared/observability';
import { SURGE } from '../aggregate/index.ts';
import type { WorkerSettings } from '../config/index.ts';
import type { Desired } from '../decision/index.ts';
import { type ConfigIdentity, type PodRole, statefulSetName, userLabels } from '../naming/index.ts';
import type { WorkerPod } from '../observation/index.ts';
import type { AssignmentPublisher } from './assignments.ts';
import { type EffectProblem, EffectRound } from './effect-round.ts';
import { InstanceWriter } from './instance-writer.ts';
import { disruptionBudget, metricsService } from './metrics-service.ts';
import { OwnedObjects } from './owned-objects.ts';
import { surgeStatefulSet, workerStatefulSet } from './stateful-set.ts';
import { templateRevision, type WorkerPodInput } from './worker-pod.ts';
import { WorkerSets } from './worker-sets.ts';

export interface ReconcilerOptions {
  readonly config: ConfigIdentity;
  readonly client: Pick<KubernetesClient, 'apply' | 'delete' | 'find' | 'patch' | 'pathOf'>;
  /** Whether this manager leads at the moment of the call. */
  readonly leads: () => boolean;
  readonly publisher: Pick<AssignmentPublisher, 'publish' | 'forget' | 'remove'>;
  readonly worker: WorkerSettings;
  readonly logger: Pick<Logger, 'info'>;
}

/** What is observed of the objects of one ShardConfig. */
export interface ObservedObjects {
  readonly instances: ReadonlyMap<string, ShardInstance>;
  readonly pods: readonly WorkerPod[];
}

/** What the cluster should hold, and what is observed of it. */
export interface ReconcileInput extends ObservedObjects {
  /** Undefined while no valid form of it is known: then pods are made from the template that the StatefulSets have. */
  readonly spec: ShardConfigSpec | undefined;
  /** Labels of the ShardConfig: those of its user are on everything that is made for it. */
  readonly labels: Readonly<Record<string, string>>;
  /** How far the state goes in the log. */
  readonly head: Pick<Assignment, 'generation' | 'epoch'>;
  readonly desired: Desired;
  /** Wanted template revision of the state; a spec that renders another one is not in force (yet). */
  readonly revision: string;
  /** Compare everything with the cluster, also what was applied before. */
  readonly resync: boolean;
}

export interface ReconcileOutcome {
  /** Everything is as it should be; otherwise look again soon. */
  readonly settled: boolean;
  /** The ShardInstance holds a newer assignment than ours: we are probably no longer the leader. */
  readonly superseded: boolean;
  /** What could not be done and why. */
  readonly problems: readonly EffectProblem[];
}

/**
 * Makes the cluster what the state says, for one ShardConfig. Idempotent: each call compares and changes the difference,
 * and a failure of one effect does not hold up the others. Calls must not overlap.
 */
export class Reconciler {
  readonly #options: ReconcilerOptions;
  readonly #objects: OwnedObjects;
  readonly #instances: InstanceWriter;
  readonly #sets: WorkerSets;

  constructor(options: ReconcilerOptions) {
    this.#options = options;
    this.#objects = new OwnedObjects(options);
    this.#instances = new InstanceWriter(options.config, this.#objects, options.publisher);
    this.#sets = new WorkerSets({ ...options, objects: this.#objects });
  }

  async reconcile(input: ReconcileInput, signal: AbortSignal): Promise<ReconcileOutcome> {
    const { config, leads, publisher } = this.#options;
    if (isSuperseded(input, config)) return { settled: false, superseded: true, problems: [] };
    this.#objects.setLabels(userLabels(input.labels));
    if (input.resync) {
      this.#objects.forgetAll();
      publisher.forget();
    }
    const round = new EffectRound(leads, signal);
    // Assignments first: a failover waits for nothing else.
    const superseded = await this.#assign(input, round);
    await round.attempt(() => this.#objects.apply(metricsService(config), signal));
    await this.#workload(input, round);
    await this.#removeLeftovers(input, round);
    return { settled: round.settled, superseded, problems: round.problems };
  }

  /** Returns whether a ShardInstance holds a newer assignment. */
  async #assign({ desired, instances }: ReconcileInput, round: EffectRound): Promise<boolean> {
    let superseded = false;
    const assign = async (assignment: Assignment): Promise<boolean> => {
      const outcome = await this.#instances.assign(assignment, instances.get(assignment.shardId), round.signal);
      if (outcome === 'superseded') superseded = true;
      return outcome === 'done';
    };
    await Promise.all(desired.assignments.map((assignment) => round.attempt(() => assign(assignment))));
    return superseded;
  }

  async #workload(input: ReconcileInput, round: EffectRound): Promise<void> {
    const { spec, desired, revision } = input;
    const { config, worker } = this.#options;
    if (desired.statefulSets.length === 0) return;
    const given = spec === undefined ? undefined : { config, spec, worker };
    // A spec that was not accepted must not reach the pods.
    const pods = given !== undefined && templateRevision(given) === revision ? given : undefined;
    for (const set of desired.statefulSets) {
      await round.attempt(() =>
        pods !== undefined && desired.templateProved
          ? this.#sets.apply(workerStatefulSet(pods, set.replica, set.replicas), round.signal)
          : this.#sets.scale(set, revision, pods, round.signal),
      );
    }
    await this.#surgeWorker(input, pods, round);
    if (spec !== undefined && pods !== undefined) await this.#disruptionBudget(input, spec, round);
    await this.#removeStandbys(input, round);
    await this.#deletePods(input, round);
  }

  async #surgeWorker(
    { desired, pods: seen, resync }: ReconcileInput,
    pods: WorkerPodInput | undefined,
    round: EffectRound,
  ): Promise<void> {
    if (desired.surge) {
      if (pods !== undefined) await round.attempt(() => this.#sets.apply(surgeStatefulSet(pods), round.signal));
    } else if (resync || seen.some(({ shardId }) => shardId === SURGE)) {
      await this.#removeStatefulSet('surge', round);
    }
  }

  async #disruptionBudget(
    { desired, resync }: ReconcileInput,
    spec: ShardConfigSpec,
    round: EffectRound,
  ): Promise<void> {
    const { config } = this.#options;
    if (spec.distribution.enablePDB) {
      const shards = desired.statefulSets[0]?.replicas ?? 1;
      const budget = disruptionBudget(config, shards, spec.distribution.maxUnavailable);
      await round.attempt(() => this.#objects.apply(budget, round.signal));
    } else if (resync) {
      const address = { group: 'policy', version: 'v1', resource: 'poddisruptionbudgets' };
      const path = resourcePath({ ...address, namespace: config.namespace, name: config.name });
      await round.attempt(() => this.#objects.deleteOwn(path, round.signal));
    }
  }

  /** The second StatefulSet of a ShardConfig that has one replica per shard (again). */
  async #removeStandbys({ desired, pods, resync }: ReconcileInput, round: EffectRound): Promise<void> {
    if (desired.statefulSets.some(({ replica }) => replica === 'b')) return;
    if (resync || pods.some(({ replica }) => replica === 'b')) await this.#removeStatefulSet('b', round);
  }

  async #removeStatefulSet(role: PodRole, round: EffectRound): Promise<void> {
    const name = statefulSetName(this.#options.config.name, role);
    this.#objects.forget(`StatefulSet/${name}`);
    await round.attempt(() => this.#sets.remove(name, round.signal));
  }

  async #deletePods(input: ReconcileInput, round: EffectRound): Promise<void> {
    for (const { shardId, replica, unlessRevision, unlessReady, whenOthersReady } of input.desired.podsToDelete) {
      const pod = input.pods.find((candidate) => candidate.shardId === shardId && candidate.replica === replica);
      if (pod === undefined || pod.deleting || pod.revision === unlessRevision) continue;
      if (unlessReady && pod.ready) continue;
      if (whenOthersReady && pod.ready && !othersReady(input, pod)) continue;
      await round.attempt(() => this.#deletePod(pod, round.signal));
      // What the next one has to wait for shows in the pods only later.
      if (whenOthersReady) break;
    }
  }

  /** Only once the StatefulSet's controller knows the new template; else it would make the old pod again. */
  async #deletePod({ name, uid, replica, revision }: WorkerPod, signal: AbortSignal): Promise<boolean> {
    const { config, logger } = this.#options;
    if (!this.#sets.hasTemplate(statefulSetName(config.name, replica))) return false;
    logger.info({ pod: name, revision }, 'deleting an outdated worker that serves nothing');
    const path = resourcePath({ group: '', version: 'v1', resource: 'pods', namespace: config.namespace, name });
    return this.#objects.delete(path, uid, signal);
  }

  async #removeLeftovers({ desired, instances }: ReconcileInput, round: EffectRound): Promise<void> {
    // Without a wanted assignment nothing is known yet: then nothing is a leftover.
    if (desired.assignments.length === 0) return;
    const wanted = new Set(desired.assignments.map(({ shardId }) => shardId));
    for (const [shardId, instance] of instances) {
      if (wanted.has(shardId) || instance.metadata.deletionTimestamp !== undefined) continue;
      await round.attempt(() => this.#instances.remove(instance, round.signal));
    }
  }
}

/** Whether a ShardInstance holds what a later decision than those of the state said. */
function isSuperseded({ head, instances }: ReconcileInput, { uid }: ConfigIdentity): boolean {
  return [...instances.values()].some(({ spec }) => spec.shardConfigRef.uid === uid && compareEpoch(spec, head) > 0);
}

/** Whether every worker pod but `pod` is there and ready. */
function othersReady({ desired, pods }: ReconcileInput, pod: WorkerPod): boolean {
  const wanted = desired.statefulSets.reduce((sum, { replicas }) => sum + replicas, 0);
  return pods.length >= wanted && pods.every((other) => other.uid === pod.uid || (other.ready && !other.deleting));
}
