/** The log of one ShardConfig as found at the start of leadership. */
export interface FoundLog {
  /** `created` of the stream now. */
  readonly created: string;
  /** `created` that the newest decision was written under; undefined when there is no decision. */
  readonly writtenUnder: string | undefined;
  /** Sequence of the newest decision, 0 for none. */
  readonly lastSequence: number;
  /** Generation of the newest decision, 0 for none. */
  readonly generation: number;
}

/** Highest (generation, epoch) over all ShardInstances of the ShardConfig. */
export interface SeenEpoch {
  readonly generation: number;
  readonly epoch: number;
}

/**
 * - new: neither decisions nor ShardInstances.
 * - continue: the log is the one that the ShardInstances came from, and complete.
 * - lost: ShardInstances, but not one decision.
 * - behind: decisions that the ShardInstances came from are missing (a restored backup).
 * - recreated: the decisions were copied into another stream, so their sequences mean something else.
 */
export type LogComparison = 'new' | 'continue' | 'lost' | 'behind' | 'recreated';

/**
 * Tells whether the log may be continued. After `lost`, `behind` and `recreated` state has to be rebuilt from the
 * ShardInstances under `nextGeneration`, or workers would refuse every new assignment as old.
 */
export function compareLog(log: FoundLog, seen: SeenEpoch | undefined): LogComparison {
  if (log.lastSequence === 0) return seen === undefined ? 'new' : 'lost';
  if (log.writtenUnder !== undefined && log.writtenUnder !== log.created) return 'recreated';
  if (seen === undefined || seen.generation < log.generation) return 'continue';
  if (seen.generation > log.generation || seen.epoch > log.lastSequence) return 'behind';
  return 'continue';
}

/** Generation for a rebuilt log: above everything that any worker may have seen. */
export function nextGeneration(log: Pick<FoundLog, 'generation'>, seen: SeenEpoch | undefined): number {
  return Math.max(log.generation, seen?.generation ?? 0) + 1;
}
