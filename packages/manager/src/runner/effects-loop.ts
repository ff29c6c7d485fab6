import type { ShardConfig } from '@shard-controller/shared/api';
import { isAborted } from '@shard-controller/shared/kubernetes';
import type { Logger } from '@shard-controller/shared/observability';
import { type Clock, errorMessage, type Wakeup } from '@shard-controller/shared/runtime';
import type { ShardConfigState } from '../aggregate/index.ts';
import { desired, type DesiredStatus } from '../decision/index.ts';
import {
  type KindReport,
  type ManagerHold,
  statusOf,
  type StatusWriter,
  withNotes,
  withHold,
  withPodProblems,
  withUnavailableKinds,
  type WorkerNote,
  type ObservedObjects,
  type ReconcileOutcome,
  type Reconciler,
} from '../effects/index.ts';
import type { ConfigIdentity } from '../naming/index.ts';
import type { PodProblem } from '../observation/index.ts';

/** Time to the next look when something could not be done, ms. */
const RETRY_MS = 500;
/** The status follows figures that change without an event, ms. */
const STATUS_MS = 1_000;
/** Time to read the log and to hear the workers, for which a status of before is left as it stands, ms. */
const TAKEOVER_MS = 3_000;

export interface EffectsLoopOptions {
  readonly config: ConfigIdentity;
  readonly reconciler: Reconciler;
  readonly statusWriter: StatusWriter;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly resyncIntervalMs: number;
  /** State to make true; undefined while it is not known. */
  readonly state: () => ShardConfigState | undefined;
  readonly spec: () => ShardConfig | undefined;
  /** The ShardConfig's objects as they are. */
  readonly observed: () => ObservedObjects;
  readonly describe: (state: ShardConfigState) => DesiredStatus;
  /** What workers say is wrong with them. */
  readonly notes: (state: ShardConfigState) => readonly WorkerNote[];
  /** Which kinds workers cannot read. */
  readonly unavailable: (state: ShardConfigState) => readonly KindReport[];
  /** Why wanted workers do not run. */
  readonly podProblems: () => readonly PodProblem[];
  /** Why no decision can be made, if so. */
  readonly hold: () => ManagerHold | undefined;
  readonly onSuperseded: () => void;
  /** A stream that assignments go to is gone. */
  readonly restoreStreams: () => Promise<void>;
  readonly onFailure: () => void;
  readonly onStatus: (status: DesiredStatus, state: ShardConfigState) => void;
}

/** Keeps the objects of one ShardConfig in step with its state, while this manager leads. */
export class EffectsLoop {
  readonly #options: EffectsLoopOptions;
  #problems: ReconcileOutcome['problems'] = [];
  #applied: ShardConfigState | undefined;
  #settled = false;
  #resyncAt = 0;
  readonly #startedAt: number;
  #statusProblem = '';

  constructor(options: EffectsLoopOptions) {
    this.#options = options;
    this.#startedAt = options.clock.monotonic();
  }

  /** Works whenever `wakeup` says so, and by itself for retries, resync and status; until `signal` aborts. */
  async run(wakeup: Wakeup, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const again = wakeup.reset();
      const state = this.#options.state();
      if (state?.settings != null) await this.#reconcile(state, again, signal);
      await this.#writeStatus(state, signal);
      if (signal.aborted) return;
      await wakeup.wait(this.#settled ? STATUS_MS : RETRY_MS, signal);
    }
  }

  async #reconcile(state: ShardConfigState, woken: boolean, signal: AbortSignal): Promise<void> {
    const { clock, reconciler, spec, observed, resyncIntervalMs } = this.#options;
    const resync = clock.monotonic() >= this.#resyncAt;
    if (!resync && !woken && this.#settled && state === this.#applied) return;
    const config = spec();
    const outcome = await reconciler.reconcile(
      {
        spec: config?.spec,
        labels: config?.metadata.labels ?? {},
        head: { generation: state.generation, epoch: state.sequence },
        desired: desired(state),
        revision: state.revision,
        resync,
        ...observed(),
      },
      signal,
    );
    if (signal.aborted) return;
    if (resync) {
      this.#resyncAt = clock.monotonic() + resyncIntervalMs;
      this.#options.statusWriter.forget();
    }
    this.#settled = outcome.settled;
    this.#applied = state;
    this.#report(outcome);
    if (outcome.superseded) this.#options.onSuperseded();
    if (outcome.problems.some(({ code }) => code === STREAM_MISSING)) await this.#options.restoreStreams();
  }

  #report({ problems }: ReconcileOutcome): void {
    const { logger, onFailure } = this.#options;
    if (problems.length > 0) onFailure();
    const before = new Set(this.#problems.map(({ message }) => message));
    for (const { code, message } of problems) {
      if (!before.has(message)) logger.warn({ code, problem: message }, 'an effect failed; retrying');
    }
    if (problems.length === 0 && before.size > 0) logger.info('effects recovered');
    this.#problems = problems;
  }

  #hold(): ManagerHold | undefined {
    const [problem] = this.#problems;
    const deciding = this.#options.hold();
    if (deciding !== undefined || problem === undefined) return deciding;
    return { reason: reasonOf(problem), message: this.#problems.map(({ message }) => message).join('; ') };
  }

  async #writeStatus(state: ShardConfigState | undefined, signal: AbortSignal): Promise<void> {
    const { statusWriter, describe, notes, unavailable, podProblems, logger, clock, config, onStatus } = this.#options;
    const hold = this.#hold();
    if (statusWriter.continues && clock.monotonic() - this.#startedAt < TAKEOVER_MS) return;
    try {
      if (state === undefined || (state.settings === null && state.rejected === null)) {
        if (hold !== undefined) await statusWriter.writeHold(hold, signal);
        return;
      }
      const described = describe(state);
      onStatus(described, state);
      const status = statusOf(described, state, config.name);
      const withKinds = withUnavailableKinds(described.conditions, unavailable(state));
      const reported = withPodProblems(withNotes(withKinds, notes(state)), podProblems());
      await statusWriter.write(status, withHold(reported, hold), signal);
      this.#statusProblem = '';
    } catch (error) {
      if (isAborted(error)) return;
      const problem = errorMessage(error);
      if (!signal.aborted && problem !== this.#statusProblem) {
        logger.warn({ problem }, 'the status could not be written; retrying');
      }
      this.#statusProblem = problem;
    }
  }
}

const STREAM_MISSING = 'SC_STREAM_MISSING';

function reasonOf({ code }: ReconcileOutcome['problems'][number]): string {
  if (code === STREAM_MISSING) return 'StreamMissing';
  if (code === 'SC_KUBERNETES_FORBIDDEN') return 'MissingRight';
  if (code === 'SC_FOREIGN_OBJECT' || code === 'SC_PREDECESSOR_OBJECT') return 'NameTaken';
  // The deciding half may still wait for an answer when the first assignment fails.
  return code === 'SC_NATS_UNAVAILABLE' ? 'NatsUnavailable' : 'EffectsFailing';
}
