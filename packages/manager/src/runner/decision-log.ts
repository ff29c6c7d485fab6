import type { ShardInstance } from '@shard-controller/shared/api';
import { activeReplicaOf } from '@shard-controller/shared/contracts';
import { rangesToSlots } from '@shard-controller/shared/hashing';
import { StreamMissingError } from '@shard-controller/shared/nats';
import type {
  CommandBody,
  CommandContext,
  ObservedConfig,
  ShardConfigState,
  ShardEvent,
  ShardInstanceClaim,
} from '../aggregate/index.ts';
import { decide } from '../decision/index.ts';
import {
  compareLog,
  type EventLog,
  type LogHead,
  type NewDecision,
  nextGeneration,
  type SeenEpoch,
} from '../event-log/index.ts';

export type ConfigLog = EventLog<ShardEvent, ShardConfigState>;
/** The part of it that decisions need. */
type StoredLog = Pick<ConfigLog, 'append' | 'resume'>;
export type ConfigHead = LogHead<ShardConfigState>;

/** Who decides, and with what figures. */
export interface DecisionContext extends CommandContext {
  readonly manager: { readonly identity: string; readonly term: number };
}

/**
 * - decided: stored; `before` is the state that was decided on.
 * - nothing: the command changes nothing.
 * - rejected: no state handles the command.
 * - stale: the log has to be read again before the next decision.
 * - unavailable: NATS took nothing; the same command can be tried again.
 */
export type Execution =
  | { readonly kind: 'decided'; readonly events: readonly ShardEvent[]; readonly before: ShardConfigState }
  | { readonly kind: 'nothing' }
  | { readonly kind: 'rejected'; readonly machine: string; readonly reason: string }
  | { readonly kind: 'stale'; readonly problem: string }
  | { readonly kind: 'unavailable'; readonly problem: string };

/** Appends of one decision, when an invalid message comes in between each time. */
const MAX_TRIES = 5;

/** One ShardConfig's state and its log: commands go in one at a time, and come out as stored events. */
export class DecisionLog {
  readonly #log: StoredLog;
  #head: ConfigHead;

  constructor(log: StoredLog, head: ConfigHead) {
    this.#log = log;
    this.#head = head;
  }

  get state(): ShardConfigState {
    return this.#head.state;
  }

  get head(): ConfigHead {
    return this.#head;
  }

  /** Decides and stores. @throws MessageTooLargeError, InvalidEventError: bugs of ours, nothing is stored */
  async execute(body: CommandBody, context: DecisionContext): Promise<Execution> {
    const before = this.#head.state;
    const { now, objects, progress = {} } = context;
    const decision = decide(before, { ...body, now, objects, progress });
    if (decision.kind === 'rejected') return decision;
    if (decision.events.length === 0) return { kind: 'nothing' };
    const stored: NewDecision<ShardEvent> = {
      at: now,
      manager: context.manager,
      generation: body.type === 'LogLost' ? body.generation : before.generation,
      command: commandText(body),
      reason: reasonOf(decision.events),
      events: decision.events,
    };
    try {
      return await this.#store(stored, before);
    } catch (error) {
      if (error instanceof StreamMissingError) return { kind: 'stale', problem: error.message };
      throw error;
    }
  }

  async #store(decision: NewDecision<ShardEvent>, before: ShardConfigState): Promise<Execution> {
    for (let tries = 1; ; tries += 1) {
      const result = await this.#log.append(this.#head, decision);
      if (result.kind === 'appended') {
        this.#head = result.head;
        return { kind: 'decided', events: decision.events, before };
      }
      if (result.kind === 'unavailable') {
        return { kind: result.stored === 'no' ? 'unavailable' : 'stale', problem: result.problem };
      }
      const problem = `another writer wrote sequence ${result.lastSequence} of the log`;
      if (tries >= MAX_TRIES) return { kind: 'stale', problem };
      // An invalid message changes no state: what was decided on still holds, and its writer cannot stop the next decision.
      const now = await this.#log.resume(this.#head);
      const onlySkipped = now.created === this.#head.created && now.decisions === this.#head.decisions;
      if (!onlySkipped || now.lastId !== this.#head.lastId) return { kind: 'stale', problem };
      this.#head = now;
    }
  }
}

/** A log that is lost, behind or re-created, and what is left to rebuild it from. */
export type LostLog = Pick<Extract<CommandBody, { type: 'LogLost' }>, 'generation' | 'instances' | 'reason'>;

/** What became of the log of the ShardConfig with this uid; undefined when it can be continued. */
export function lostLog(head: ConfigHead, uid: string, instances: readonly ShardInstance[]): LostLog | undefined {
  const own = instances.filter(({ spec }) => spec.shardConfigRef.uid === uid);
  const seen = highestEpoch(own);
  const comparison = compareLog(head, seen);
  if (comparison === 'new' || comparison === 'continue') return undefined;
  const where = `generation ${head.generation}, sequence ${head.lastSequence}`;
  const there = seen === undefined ? 'none' : `generation ${seen.generation}, epoch ${seen.epoch}`;
  return {
    generation: nextGeneration(head, seen),
    instances: own.map(claimOf),
    reason: `the event log is ${comparison}: it ends at ${where}, the ShardInstances hold ${there}`,
  };
}

/** The log ends with the deletion of a ShardConfig that is there again, with the same uid. */
export function revivedLog(head: ConfigHead, uid: string, instances: readonly ShardInstance[]): LostLog {
  const own = instances.filter(({ spec }) => spec.shardConfigRef.uid === uid);
  return {
    generation: nextGeneration(head, highestEpoch(own)),
    instances: own.map(claimOf),
    reason: 'the ShardConfig was deleted and exists again: a backup of the API server was restored',
  };
}

/**
 * A lost log cannot be rebuilt, because the present spec is not known. Deciding without it would forget who owns
 * what.
 * @remedy correct the spec of the ShardConfig: the log is rebuilt once it is valid.
 */
class LostLogError extends Error {
  readonly code = 'SC_LOG_LOST';
  override readonly name = 'LostLogError';
}

/** The command that rebuilds the log. @throws LostLogError (SC_LOG_LOST) without a valid spec */
export function recoveryCommand(
  lost: LostLog,
  config: ObservedConfig | undefined,
): Extract<CommandBody, { type: 'LogLost' }> {
  if (config !== undefined) return { type: 'LogLost', config, ...lost };
  throw new LostLogError(`${lost.reason}; it is rebuilt once the ShardConfig is valid: correct its spec`);
}

function highestEpoch(instances: readonly ShardInstance[]): SeenEpoch | undefined {
  const [highest] = instances
    .map(({ spec: { generation, epoch } }) => ({ generation, epoch }))
    .sort((a, b) => b.generation - a.generation || b.epoch - a.epoch);
  return highest;
}

function claimOf({ spec }: ShardInstance): ShardInstanceClaim {
  return {
    shardId: spec.shardId,
    generation: spec.generation,
    epoch: spec.epoch,
    active: activeReplicaOf(spec),
    owned: rangesToSlots(spec.hashRanges, spec.slotCount),
    releasing: rangesToSlots(spec.releaseRanges, spec.slotCount),
    keeping: rangesToSlots(spec.keepRanges ?? [], spec.slotCount),
  };
}

/** The command in short, for the log: what was seen, not its whole content. */
function commandText(body: CommandBody): string {
  switch (body.type) {
    case 'ShardObserved':
      return `${body.type} ${body.observation.shardId} ${body.observation.health}`;
    case 'StandbyReady':
      return `${body.type} ${body.observation.shardId} ${body.observation.replica}`;
    case 'HandoverObserved':
      return `${body.type} ${body.shardId} ${body.handover.migration} ${body.handover.state}`;
    case 'VerificationFinished':
    case 'ScrapersMoved':
      return `${body.type} ${body.migration}`;
    case 'PodGone':
      return `${body.type} ${body.shardId}`;
    case 'ConfigObserved':
      return `${body.type} generation ${body.config.specGeneration}`;
    case 'ConfigInvalid':
      return `${body.type} generation ${body.specGeneration}`;
    case 'ConfigDeleted':
    case 'LogLost':
    case 'Tick':
      return body.type;
  }
  return body satisfies never;
}

function reasonOf(events: readonly ShardEvent[]): string {
  const reasons = events.flatMap((event) => ('reason' in event ? [event.reason] : []));
  return [...new Set(reasons)].join('; ') || (events[0]?.type ?? '');
}
