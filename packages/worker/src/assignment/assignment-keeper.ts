import type { Assignment } from '@shard-controller/shared/contracts';
import type { Logger } from '@shard-controller/shared/observability';
import type { DataPlane } from '../data-plane/index.ts';
import type { WorkerIdentity } from '../worker-identity.ts';
import { Fence, label, type Refusal, type Verdict } from './fence.ts';
import { slotAssignment } from './slot-assignment.ts';

/** Where something about assignments came from. */
export type AssignmentSource = 'shardinstance' | 'nats';

/** What became of it. A notice on NATS is `current`, or of a newer one that a read of the ShardInstance confirms or not. */
export type Outcome = Verdict['kind'] | 'confirmed' | 'unconfirmed';

export interface AssignmentKeeperOptions {
  readonly identity: WorkerIdentity;
  readonly dataPlane: Pick<DataPlane, 'applyAssignment' | 'status'>;
  readonly logger: Logger;
  /** The assignment in force or the refusal has changed. */
  readonly onChange: () => void;
  /** Counts every offer and every notice. */
  readonly onOffer: (source: AssignmentSource, outcome: Outcome) => void;
}

/** The assignment in force: lets what the ShardInstance says through the fence and hands it to the data plane. */
export class AssignmentKeeper {
  readonly #options: AssignmentKeeperOptions;
  readonly #fence: Fence;
  /** The newest refused or ignored offer that was logged: it may be repeated for ever. */
  #logged = '';

  constructor(options: AssignmentKeeperOptions) {
    this.#options = options;
    this.#fence = new Fence(options.identity);
  }

  get current(): Assignment | undefined {
    return this.#fence.current;
  }

  get refusal(): Refusal | undefined {
    return this.#fence.refusal;
  }

  offer(raw: unknown): Verdict {
    const options = this.#options;
    const verdict = this.#fence.offer(raw);
    options.onOffer('shardinstance', verdict.kind);
    this.#log(verdict, 'shardinstance');
    if (verdict.kind === 'accepted') {
      options.dataPlane.applyAssignment(slotAssignment(verdict.assignment, options.identity.replica));
    }
    if (verdict.kind === 'accepted' || verdict.kind === 'refused') options.onChange();
    return verdict;
  }

  /** A notice that changes nothing by itself. */
  heard(source: AssignmentSource, outcome: Outcome): void {
    this.#options.onOffer(source, outcome);
  }

  /** Something arrived that cannot even be offered. */
  invalid(source: AssignmentSource, problem: string): void {
    this.#options.onOffer(source, 'invalid');
    this.#log({ kind: 'invalid', reason: problem }, source);
  }

  #log(verdict: Verdict, source: AssignmentSource): void {
    if (verdict.kind === 'current') return;
    if (verdict.kind === 'accepted') {
      const { owned, warm, release, standby } = slotAssignment(verdict.assignment, this.#options.identity.replica);
      const epoch = label(verdict.assignment);
      this.#options.logger.info(
        { source, epoch, standby, owned: owned.length, warm: slotCount(warm), release: slotCount(release) },
        'assignment accepted',
      );
      return;
    }
    const entry = JSON.stringify([source, verdict]);
    if (entry === this.#logged) return;
    this.#logged = entry;
    const { kind, reason } = verdict;
    if (kind === 'invalid') return this.#options.logger.warn({ source, reason }, 'not an assignment: ignored');
    const fields = { source, epoch: label(verdict), inForce: this.current && label(this.current), reason };
    if (kind === 'older') this.#options.logger.warn(fields, 'older assignment ignored');
    else this.#options.logger.error(fields, 'assignment refused; the one in force is kept');
  }
}

const slotCount = (moves: readonly { readonly slots: readonly number[] }[]): number =>
  moves.reduce((sum, { slots }) => sum + slots.length, 0);
