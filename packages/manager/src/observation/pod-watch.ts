import { type KubernetesClient, KubernetesError, resourcePath } from '@shard-controller/shared/kubernetes';
import type { Logger } from '@shard-controller/shared/observability';
import { type Clock, errorMessage } from '@shard-controller/shared/runtime';
import {
  newestWarning,
  parseEvent,
  type PodProblem,
  refusalOf,
  type SeenEvent,
  type WantedPod,
} from './pod-problems.ts';
import type { WorkerPod } from './worker-pods.ts';

/** Time between two looks, ms. */
const ROUND_MS = 2_000;
/** What is over sooner is everyday life: a pod is made, scheduled and pulled. */
const PATIENCE_MS = 8_000;
/** A pod that is scheduled and says nothing of itself: volumes and networks take their time, ms. */
const START_PATIENCE_MS = 20_000;
/** Events are asked for at most so often, ms. */
const ASK_AGAIN_MS = 5_000;
/** The controller of a StatefulSet waits ever longer after a refusal, up to 16 minutes; it is asked to look again, ms. */
const RETRY_MS = 30_000;

export interface PodWatchOptions {
  readonly client: Pick<KubernetesClient, 'list'>;
  readonly namespace: string;
  readonly clock: Clock;
  readonly logger: Pick<Logger, 'warn' | 'debug'>;
  readonly wanted: () => readonly WantedPod[];
  readonly pods: () => readonly WorkerPod[];
  readonly onChange: () => void;
  /** Has the StatefulSet's controller look again. */
  readonly retry: (statefulSet: string, signal: AbortSignal) => Promise<void>;
}

interface Asked {
  readonly at: number;
  readonly events: readonly SeenEvent[];
  /** Why they could not be read. */
  readonly problem: string | undefined;
}

/**
 * Finds out why wanted workers do not run. A pod that exists says it in its status. One that was refused does not exist:
 * the API server's sentence is in an Event of its StatefulSet, which is read only while a pod is missing.
 */
export class PodWatch {
  readonly #options: PodWatchOptions;
  /** Since when a pod has had the trouble it has. Monotonic, ms. */
  readonly #since = new Map<string, { readonly what: string; readonly at: number }>();
  readonly #asked = new Map<string, Asked>();
  /** When a StatefulSet's controller was last asked to look again. Monotonic, ms. */
  readonly #retried = new Map<string, number>();
  #problems: readonly PodProblem[] = [];

  constructor(options: PodWatchOptions) {
    this.#options = options;
  }

  get problems(): readonly PodProblem[] {
    return this.#problems;
  }

  /** Looks until `signal` aborts. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const before = JSON.stringify(this.#problems);
      this.#problems = await this.look(signal);
      if (JSON.stringify(this.#problems) !== before) this.#options.onChange();
      await this.#options.clock.sleep(ROUND_MS, signal);
    }
  }

  async look(signal: AbortSignal): Promise<readonly PodProblem[]> {
    const { wanted, pods } = this.#options;
    const present = new Map(pods().map((pod) => [pod.name, pod]));
    const names = new Set(wanted().map(({ name }) => name));
    for (const name of this.#since.keys()) if (!names.has(name)) this.#since.delete(name);
    const found: PodProblem[] = [];
    for (const one of wanted()) {
      if (signal.aborted) break;
      const problem = await this.#problemOf(one, present.get(one.name), signal);
      if (problem !== undefined) found.push({ pod: one.name, shardId: one.shardId, ...problem });
    }
    return found;
  }

  async #problemOf(
    { name, statefulSet }: WantedPod,
    pod: WorkerPod | undefined,
    signal: AbortSignal,
  ): Promise<Pick<PodProblem, 'reason' | 'message'> | undefined> {
    if (pod === undefined) return this.#missing(name, statefulSet, signal);
    // A pod that is being ended is missing soon, and its successor has a fresh start.
    if (pod.deleting || pod.ready) return void this.#since.delete(name);
    const { trouble } = pod;
    if (trouble !== undefined) {
      const isOld = this.#lasts(name, `${pod.uid} ${trouble.reason}`, PATIENCE_MS);
      return isOld ? trouble : undefined;
    }
    const isSilent = pod.phase === 'Pending' && pod.node !== '';
    if (!isSilent || !this.#lasts(name, `${pod.uid} silent`, START_PATIENCE_MS)) return undefined;
    const { events } = await this.#events('Pod', name, signal);
    const message = newestWarning(events);
    return message === undefined ? undefined : { reason: 'PodNotStarting', message };
  }

  async #missing(
    name: string,
    statefulSet: string,
    signal: AbortSignal,
  ): Promise<Pick<PodProblem, 'reason' | 'message'> | undefined> {
    if (!this.#lasts(name, 'missing', PATIENCE_MS)) return undefined;
    await this.#retry(statefulSet, signal);
    const { events, problem } = await this.#events('StatefulSet', statefulSet, signal);
    const refusal = refusalOf(name, events);
    if (refusal !== undefined) return { reason: 'PodRefused', message: refusal };
    if (!this.#lasts(name, 'missing', START_PATIENCE_MS)) return undefined;
    return { reason: 'PodMissing', message: problem ?? `StatefulSet ${statefulSet} has not created it` };
  }

  /** Whether the pod has had this trouble for `ms`. */
  #lasts(name: string, what: string, ms: number): boolean {
    const now = this.#options.clock.monotonic();
    const known = this.#since.get(name);
    if (known?.what !== what) this.#since.set(name, { what, at: now });
    return known?.what === what && now - known.at >= ms;
  }

  async #retry(statefulSet: string, signal: AbortSignal): Promise<void> {
    const { clock, retry, logger } = this.#options;
    const now = clock.monotonic();
    const before = this.#retried.get(statefulSet);
    // It has looked a moment ago: that is how the pod came to be refused.
    if (before === undefined) this.#retried.set(statefulSet, now);
    if (before === undefined || now - before < RETRY_MS) return;
    this.#retried.set(statefulSet, now);
    try {
      await retry(statefulSet, signal);
    } catch (error) {
      if (!signal.aborted) logger.debug({ err: error }, 'a StatefulSet whose pods are missing could not be touched');
    }
  }

  async #events(kind: string, name: string, signal: AbortSignal): Promise<Asked> {
    const { clock, client, namespace, logger } = this.#options;
    const key = `${kind}/${name}`;
    const known = this.#asked.get(key);
    if (known !== undefined && clock.monotonic() - known.at < ASK_AGAIN_MS) return known;
    const path = resourcePath({ group: '', version: 'v1', resource: 'events', namespace });
    const fieldSelector = `involvedObject.kind=${kind},involvedObject.name=${name}`;
    let asked: Asked;
    try {
      const { items } = await client.list<unknown>(path, { query: { fieldSelector }, signal });
      const events = items.flatMap((raw) => parseEvent(raw) ?? []);
      asked = { at: clock.monotonic(), events, problem: undefined };
    } catch (error) {
      const problem = errorMessage(error);
      const isDenied = error instanceof KubernetesError && error.status === 403;
      if (!signal.aborted)
        logger[isDenied ? 'warn' : 'debug']({ problem }, 'events about missing workers cannot be read');
      asked = { at: clock.monotonic(), events: known?.events ?? [], problem };
    }
    this.#asked.set(key, asked);
    return asked;
  }
}
