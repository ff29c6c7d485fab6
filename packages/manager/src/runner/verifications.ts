import type { Replica } from '@shard-controller/shared/contracts';
import { type Clock, errorMessage } from '@shard-controller/shared/runtime';
import type { CommandBody, MigrationState, ShardConfigState } from '../aggregate/index.ts';
import type { MessageLink } from '../observation/index.ts';
import { type VerificationResult, verificationText, verifyMigration } from '../verification/index.ts';

/** An answer that says why comes a little before the step's own time-out, which could not. */
const BEFORE_DEADLINE_MS = 300;

export type VerificationFinished = Extract<CommandBody, { type: 'VerificationFinished' }>;

interface Running {
  readonly controller: AbortController;
  /** The replicas that are asked: a promotion meanwhile makes the question a new one. */
  readonly asked: string;
  result: VerificationResult | undefined;
}

export interface VerificationsOptions {
  readonly link: MessageLink;
  readonly clock: Clock;
  /** Called when a result has come. */
  readonly onResult: () => void;
}

const isInVerification = ({ step, committed }: MigrationState): boolean => step === 'Verification' && !committed;

/** Runs one verification for every migration that wants it, and none for any other. */
export class Verifications {
  readonly #options: VerificationsOptions;
  readonly #running = new Map<string, Running>();

  constructor(options: VerificationsOptions) {
    this.#options = options;
  }

  /** Starts and ends verifications so that they fit the state; returns what has come out. */
  update(
    state: ShardConfigState,
    now: number,
    isWanted: (migration: MigrationState) => boolean = isInVerification,
  ): VerificationFinished[] {
    const wanted = Object.values(state.migrations).filter(isWanted);
    const ids = new Set(wanted.map(({ id }) => id));
    for (const [id, { controller, asked }] of this.#running) {
      if (ids.has(id) && asked === replicasAsked(state, id)) continue;
      controller.abort();
      this.#running.delete(id);
    }
    for (const migration of wanted) if (!this.#running.has(migration.id)) this.#start(state, migration, now);
    return [...this.#running].flatMap(([migration, { result }]) =>
      result === undefined
        ? []
        : [
            {
              type: 'VerificationFinished' as const,
              migration,
              equal: result.kind === 'verified' || result.kind === 'unasked',
              detail: verificationText(result),
            },
          ],
    );
  }

  stop(): void {
    for (const { controller } of this.#running.values()) controller.abort();
    this.#running.clear();
  }

  #start(state: ShardConfigState, migration: MigrationState, now: number): void {
    const { link, clock, onResult } = this.#options;
    const running: Running = {
      controller: new AbortController(),
      asked: replicasAsked(state, migration.id),
      result: undefined,
    };
    this.#running.set(migration.id, running);
    const patience = (migration.deadline ?? now) - now - BEFORE_DEADLINE_MS;
    const task = {
      namespace: state.namespace,
      config: state.name,
      uid: state.uid,
      migration: migration.id,
      source: { shardId: migration.source, replica: activeOf(state, migration.source) },
      target: { shardId: migration.target, replica: activeOf(state, migration.target) },
      slots: migration.slots,
      slotCount: state.owners.length,
      sourceEnds: state.shards[migration.source]?.draining ?? true,
      sameTemplate: state.shards[migration.source]?.revision === state.shards[migration.target]?.revision,
      deadline: clock.monotonic() + patience,
    };
    const finished = (result: VerificationResult): void => {
      running.result = result;
      if (!running.controller.signal.aborted) onResult();
    };
    verifyMigration(task, { link, clock, signal: running.controller.signal }).then(finished, (error: unknown) => {
      finished({ kind: 'unanswered', reason: errorMessage(error) });
    });
  }
}

const activeOf = ({ shards }: ShardConfigState, shardId: string): Replica => shards[shardId]?.active ?? 'a';

function replicasAsked(state: ShardConfigState, id: string): string {
  const { source = '', target = '' } = state.migrations[id] ?? {};
  return `${activeOf(state, source)}>${activeOf(state, target)}`;
}
