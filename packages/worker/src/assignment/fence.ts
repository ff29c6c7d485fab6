import { type Assignment, assignmentProblem, assignmentSchema, compareEpoch } from '@shard-controller/shared/contracts';
import { z } from 'zod';

/** The shard that a worker works for; an assignment for another one is refused. */
export interface FenceScope {
  readonly namespace: string;
  readonly config: string;
  /** uid of the ShardConfig: a re-created one of the same name is another one. */
  readonly uid: string;
  readonly shardId: string;
}

export type Verdict =
  | { readonly kind: 'accepted'; readonly assignment: Assignment }
  /** The assignment in force, once more. */
  | { readonly kind: 'current' }
  /** Not larger in (generation, epoch) than the one in force. */
  | { readonly kind: 'older'; readonly generation: number; readonly epoch: number; readonly reason: string }
  /** Newer, but it cannot be worked with. */
  | { readonly kind: 'refused'; readonly generation: number; readonly epoch: number; readonly reason: string }
  /** Not an assignment at all. */
  | { readonly kind: 'invalid'; readonly reason: string };

export interface Refusal {
  readonly generation: number;
  readonly epoch: number;
  readonly reason: string;
}

const MAX_REASON = 500;

/** Enough of a broken assignment to say which one it was. */
const identifiable = z.looseObject({
  generation: z.int().min(0),
  epoch: z.int().min(0),
});

/**
 * Lets through only an assignment that is newer than the one in force, belongs to this shard of this very ShardConfig,
 * and makes sense; keeps the old one otherwise. This, not the Lease, is what makes a late writer harmless.
 */
export class Fence {
  readonly #scope: FenceScope;
  #current: Assignment | undefined;
  #refusal: Refusal | undefined;

  constructor(scope: FenceScope) {
    this.#scope = scope;
  }

  get current(): Assignment | undefined {
    return this.#current;
  }

  /** The newest refused assignment since the last accepted one. */
  get refusal(): Refusal | undefined {
    return this.#refusal;
  }

  offer(raw: unknown): Verdict {
    const id = identifiable.safeParse(raw);
    if (!id.success) return { kind: 'invalid', reason: 'it has no generation and epoch' };
    const parsed = assignmentSchema.safeParse(raw);
    if (!parsed.success) return this.#refuse(id.data, issueText(parsed.error));
    const assignment = parsed.data;
    const foreign = this.#foreign(assignment);
    if (foreign !== undefined) return this.#refuse(assignment, foreign);
    if (this.#current !== undefined) {
      const order = compareEpoch(assignment, this.#current);
      if (order < 0) return older(assignment, `epoch ${label(this.#current)} is in force`);
      if (order === 0) {
        return same(assignment, this.#current)
          ? { kind: 'current' }
          : older(assignment, `epoch ${label(assignment)} is in force with other content`);
      }
    }
    const problem = assignmentProblem(assignment) ?? this.#renumbering(assignment);
    if (problem !== undefined) return this.#refuse(assignment, problem);
    this.#current = assignment;
    this.#refusal = undefined;
    return { kind: 'accepted', assignment };
  }

  #foreign({ shardConfig, shardId }: Assignment): string | undefined {
    const { namespace, config, uid } = this.#scope;
    if (shardConfig.namespace !== namespace || shardConfig.name !== config) {
      return `it is for ShardConfig ${shardConfig.namespace}/${shardConfig.name}, this worker is of ${namespace}/${config}`;
    }
    if (shardConfig.uid !== uid) {
      return `it is for ShardConfig uid ${shardConfig.uid}, this worker is of ${uid}: was the ShardConfig re-created?`;
    }
    if (shardId !== this.#scope.shardId) return `it is for ${shardId}, this worker is ${this.#scope.shardId}`;
    return undefined;
  }

  #renumbering(next: Assignment): string | undefined {
    const now = this.#current;
    if (now === undefined || (now.slotCount === next.slotCount && now.shardBy === next.shardBy)) return undefined;
    return (
      `it counts ${next.slotCount} slots by ${next.shardBy}, the one in force ${now.slotCount} by ${now.shardBy}: ` +
      'both are fixed for the life of a ShardConfig'
    );
  }

  #refuse({ generation, epoch }: { readonly generation: number; readonly epoch: number }, text: string): Verdict {
    const reason = text.slice(0, MAX_REASON);
    // An old message that is broken as well is history, not something to report to the manager.
    if (this.#current !== undefined && compareEpoch({ generation, epoch }, this.#current) <= 0) {
      return older({ generation, epoch }, reason);
    }
    this.#refusal = { generation, epoch, reason };
    return { kind: 'refused', generation, epoch, reason };
  }
}

/** `generation/epoch`, as people see it in logs. */
export const label = (a: Pick<Assignment, 'generation' | 'epoch'>): string => `${a.generation}/${a.epoch}`;

function older({ generation, epoch }: Pick<Assignment, 'generation' | 'epoch'>, reason: string): Verdict {
  return { kind: 'older', generation, epoch, reason };
}

/** Both come out of the same schema, so that their keys stand in the same order. */
const same = (a: Assignment, b: Assignment): boolean => JSON.stringify(a) === JSON.stringify(b);

function issueText(error: z.ZodError): string {
  return error.issues
    .slice(0, 3)
    .map((issue) => `${issue.path.join('.') || 'assignment'}: ${issue.message}`)
    .join('; ');
}
