import {
  KSM_SCALE_API_VERSION,
  KSM_SCALE_GROUP,
  KSM_SCALE_KIND,
  KSM_SCALE_PLURAL,
  KSM_SCALE_VERSION,
  type KsmScale,
  type KsmScaleStatus,
} from '@shard-controller/shared/api';
import {
  type EventRecorder,
  isNotFound,
  type KubernetesClient,
  KubernetesError,
  resourcePath,
  WorkQueue,
} from '@shard-controller/shared/kubernetes';
import type { Logger } from '@shard-controller/shared/observability';
import { aborted, type Clock } from '@shard-controller/shared/runtime';
import { ActionRunner } from './action-runner.ts';
import { ClusterState, type InvalidScale } from './cluster-state.ts';
import type { KsmScaleMetrics } from './metrics.ts';
import { objectCounts } from './object-counts.ts';
import { isLive, passResult, plan, type Plan, type PodSettings, type View } from './planning/index.ts';

const FIELD_MANAGER = 'shard-controller-ksmscale';
/** KSMScales that are worked on at a time. */
const CONCURRENCY = 4;
/** A status that says nothing new is written again after this long, for its times. */
const STATUS_RENEWAL_MS = 60_000;

interface KsmScaleSettings extends PodSettings {
  /** Namespaces that pods are kept in; undefined: all. */
  readonly namespaces: readonly string[] | undefined;
}

/** Whether this process leads, and for how long. */
interface Leading {
  readonly leads: boolean;
  readonly term: { readonly signal: AbortSignal } | undefined;
  /** Aborts at the start of the next term. */
  readonly untilTerm: AbortSignal;
}

export interface KsmScaleControllerOptions {
  readonly client: KubernetesClient;
  readonly settings: KsmScaleSettings;
  readonly leading: Leading;
  readonly recorder: EventRecorder;
  readonly metrics: KsmScaleMetrics;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Some requests of a pass over a KSMScale failed; the manager tries again.
 *
 * @remedy as the message says
 */
class PassFailedError extends Error {
  override readonly name = 'PassFailedError';
  readonly code = 'SC_KSM_SCALE_PASS';
}

/** Keeps the pods of every KSMScale as many as the nodes ask for, while this process leads. */
export class KsmScaleController {
  readonly #options: KsmScaleControllerOptions;
  readonly #state: ClusterState;
  readonly #queue: WorkQueue;
  readonly #runner: ActionRunner;
  /** Specs that our schema does not take, with what is wrong. */
  readonly #invalid = new Map<string, InvalidScale>();
  /** Last status that was written in this term; the watch may be behind. */
  readonly #written = new Map<string, { readonly uid: string; readonly status: KsmScaleStatus }>();

  constructor(options: KsmScaleControllerOptions) {
    const { client, settings, leading, clock, logger, metrics } = options;
    this.#options = options;
    this.#queue = new WorkQueue({
      process: (name, signal) => this.#pass(name, signal),
      concurrency: CONCURRENCY,
      logger,
      clock,
    });
    this.#runner = new ActionRunner({
      client,
      maySend: () => leading.leads,
      created: (pod) => this.#state.assume(pod),
    });
    this.#state = new ClusterState({
      client,
      namespaces: settings.namespaces,
      logger,
      clock,
      handler: {
        scaleChanged: (name) => {
          this.#invalid.delete(name);
          this.#queue.add(name);
        },
        podsChanged: (name) => this.#queue.add(name),
        allChanged: () => this.#addAll(),
        removed: (name) => {
          this.#invalid.delete(name);
          this.#written.delete(name);
          metrics.remove(name);
        },
        invalid: (object) => {
          const before = this.#invalid.get(object.name);
          this.#invalid.set(object.name, object);
          // Our own status comes back as another sight of it.
          if (JSON.stringify(before) !== JSON.stringify(object)) this.#queue.add(object.name);
        },
      },
    });
  }

  /** Resolves when everything was listed once. */
  get synced(): Promise<void> {
    return this.#state.synced;
  }

  get isSynced(): boolean {
    return this.#state.isSynced;
  }

  /** Follows the cluster until `signal` aborts, and acts in the terms in between. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([this.#state.run(signal), this.#lead(signal)]);
  }

  async #lead(signal: AbortSignal): Promise<void> {
    const { leading, metrics } = this.#options;
    await Promise.race([this.#state.synced, aborted(signal)]);
    while (!signal.aborted) {
      await Promise.race([aborted(leading.untilTerm), aborted(signal)]);
      const { term } = leading;
      if (term === undefined) {
        if (!signal.aborted) await this.#options.clock.sleep(100, signal);
        continue;
      }
      this.#written.clear();
      this.#addAll();
      await this.#queue.run(AbortSignal.any([signal, term.signal]));
      metrics.reset();
    }
  }

  #addAll(): void {
    if (!this.#state.isSynced) return;
    for (const { metadata } of this.#state.scales) this.#queue.add(metadata.name);
    for (const name of this.#invalid.keys()) this.#queue.add(name);
  }

  async #pass(name: string, signal: AbortSignal): Promise<void> {
    const { clock, metrics, leading } = this.#options;
    const scale = this.#state.scale(name);
    const invalid = this.#invalid.get(name);
    if (scale === undefined && invalid !== undefined) return this.#refuse(invalid, signal);
    // What it owns goes with it, by the garbage collector.
    if (scale === undefined || scale.metadata.deletionTimestamp !== undefined || !leading.leads) return;
    const startedAt = clock.monotonic();
    const written = this.#written.get(name);
    const status = written?.uid === scale.metadata.uid ? written.status : scale.status;
    const view = this.#viewOf(status === undefined ? scale : { ...scale, status });
    const planned = await this.#plan(view, signal);
    const refusal = this.#refusal(scale);
    const failures = refusal === undefined ? await this.#runner.run(name, planned.actions, signal) : [];
    if (signal.aborted) return;
    const mistakes = invalid === undefined ? [] : [`${invalidText(invalid)}. Its last valid form is in force`];
    const errors = [...mistakes, ...(refusal === undefined ? failures : [refusal])];
    this.#report(view, planned, failures.length);
    const result = passResult(view, planned, errors);
    for (const note of result.notes) this.#options.recorder.record(regarding(scale), note);
    await this.#writeStatus(scale.metadata, status, result.status, signal);
    metrics.show(name, result.status);
    metrics.passed(name, (clock.monotonic() - startedAt) / 1_000, errors.length);
    this.#queue.addAfter(name, result.againMs);
    if (failures.length > 0)
      throw new PassFailedError(`${failures.length} requests for KSMScale ${name} failed: ${errors.join(' | ')}`);
  }

  #viewOf(scale: KsmScale): View {
    const { nodes, objects } = this.#state;
    const pods = this.#state.podsOf(scale.metadata.name);
    return { scale, nodes, pods, objects, settings: this.#options.settings, nowMs: this.#options.clock.now() };
  }

  /** Asks the shards for their objects only where a new replica is to be placed by them. */
  async #plan(view: View, signal: AbortSignal): Promise<Plan> {
    const first = plan(view);
    const { sharding } = view.scale.spec;
    const asks = sharding?.enabled === true && sharding.replicationStrategy === 'least-loaded';
    if (!asks || first.pods.create.length === 0) return first;
    const counts = await objectCounts(view.pods, this.#options.logger, signal);
    return plan({ ...view, objectsOf: (shard) => counts.get(shard) });
  }

  /** Why nothing is done for it. */
  #refusal({ spec }: KsmScale): string | undefined {
    const { namespaces } = this.#options.settings;
    if (namespaces === undefined || namespaces.includes(spec.namespace)) return undefined;
    return (
      `Namespace ${spec.namespace} is not one that this manager keeps pods in (${namespaces.join(', ')}). ` +
      'Remedy: add it to KSMSCALE_NAMESPACES, with the permissions for it, or set spec.namespace'
    );
  }

  /** It never had a valid form: nothing is known but what is wrong with it. */
  async #refuse(invalid: InvalidScale, signal: AbortSignal): Promise<void> {
    const { name, uid } = invalid;
    const { clock, recorder } = this.#options;
    const message = invalidText(invalid);
    const now = new Date(clock.now()).toISOString();
    const condition = {
      type: 'Degraded',
      status: 'True',
      reason: 'InvalidSpec',
      message,
      lastTransitionTime: now,
    } as const;
    const regarded = { apiVersion: KSM_SCALE_API_VERSION, kind: KSM_SCALE_KIND, metadata: { name, uid } };
    recorder.record(regarded, { type: 'Warning', reason: 'InvalidSpec', action: 'Reconcile', note: message });
    await this.#writeStatus({ name, uid }, undefined, { conditions: [condition] }, signal);
  }

  #report({ scale, nodes, pods: seen }: View, { layout, actions, pods, efficiency }: Plan, failed: number): void {
    const { logger, metrics } = this.#options;
    const { name } = scale.metadata;
    const { desiredPods, calculatedPods, totalShards, held } = layout;
    const [created, deleted] = [pods.create.length, pods.remove.length];
    const figures = {
      ksmScale: name,
      nodeCount: nodes.length,
      desiredReplicas: desiredPods,
      currentReplicas: seen.filter(isLive).length,
      calculatedReplicas: calculatedPods,
      bound: held,
      shards: totalShards,
      nodesPerShard: totalShards === undefined ? undefined : Math.floor(nodes.length / totalShards),
      recommendedShards: efficiency !== undefined && 'recommended' in efficiency ? efficiency.recommended : undefined,
    };
    if (actions.length > 0) logger.info({ ...figures, created, deleted, failed }, 'KSMScale changed');
    else logger.debug(figures, 'KSMScale is as wanted');
    if (failed > 0) return;
    metrics.podsChanged(name, 'created', created);
    metrics.podsChanged(name, 'deleted', deleted);
  }

  async #writeStatus(
    { name, uid }: Pick<KsmScale['metadata'], 'name' | 'uid'>,
    before: KsmScaleStatus | undefined,
    status: KsmScaleStatus,
    signal: AbortSignal,
  ): Promise<void> {
    const { client, clock, leading, logger } = this.#options;
    const age = clock.now() - Date.parse(before?.lastUpdated ?? '1970-01-01T00:00:00Z');
    if (before !== undefined && age < STATUS_RENEWAL_MS && withoutTimes(before) === withoutTimes(status)) return;
    const object = { apiVersion: KSM_SCALE_API_VERSION, kind: KSM_SCALE_KIND, metadata: { name, uid }, status };
    try {
      await client.patch(statusPath(name), object, {
        query: { fieldManager: FIELD_MANAGER, force: true },
        contentType: 'application/apply-patch+yaml',
        signal,
        maySend: () => leading.leads,
      });
      this.#written.set(name, { uid, status });
    } catch (error) {
      if (isNotFound(error)) return;
      // The pods come first: what failed with them is not hidden by this.
      logger.warn({ err: error, ksmScale: name }, 'the status of a KSMScale could not be written');
      if (!(error instanceof KubernetesError)) throw error;
      this.#queue.addAfter(name, 1_000);
    }
  }
}

const statusPath = (name: string): string =>
  resourcePath({
    group: KSM_SCALE_GROUP,
    version: KSM_SCALE_VERSION,
    resource: KSM_SCALE_PLURAL,
    name,
    subresource: 'status',
  });

/** Equal for two statuses that say the same at different times. */
const withoutTimes = (status: KsmScaleStatus): string =>
  JSON.stringify(status, (key, value: unknown) =>
    key === 'lastUpdated' || key === 'lastSeen' || key === 'lastTransitionTime' ? undefined : value,
  );

const invalidText = ({ problems }: InvalidScale): string => `The spec is not valid: ${problems.join('; ')}`;

const regarding = ({ metadata: { name, uid, resourceVersion } }: KsmScale) => ({
  apiVersion: KSM_SCALE_API_VERSION,
  kind: KSM_SCALE_KIND,
  metadata: { name, uid, resourceVersion },
});
