import type { Handover, Replica } from '@shard-controller/shared/contracts';
import type { Settings } from './settings.ts';
import type { MigrationId, ShardId, SlotIndex } from './state.ts';

/**
 * What the shell tells `decide`. Observations are level-triggered: the shell compares what it sees with the state and
 * sends a command only where they differ (`shardCommand`, `handoverCommands` do that), so a lost command is sent again.
 */

/** Every command carries the time and the newest figures; neither is stored unless a decision used it. */
export interface CommandContext {
  /** ms since the epoch, on this manager's clock. */
  readonly now: number;
  /** Objects that each shard last reported; absent = unknown. */
  readonly objects: Readonly<Record<ShardId, number>>;
  /** How the load of each shard progresses; absent = unknown. */
  readonly progress?: Readonly<Record<ShardId, LoadProgress>>;
}

/** How far a shard's exporter has come with showing what its worker was assigned, by the newest heartbeat. */
export interface LoadProgress {
  /** Nothing is on its way. */
  readonly complete: boolean;
  /** Slots that a scrape shows completely. */
  readonly shownSlots: number;
  /** The assignment that this is about. */
  readonly generation: number;
  readonly epoch: number;
  /** How long nothing was added to what is loaded, ms; 0 when it is complete. */
  readonly standstillMs: number;
}

/** What one shard looks like from outside: `classify` makes it from signs. */
export interface ShardObservation {
  readonly shardId: ShardId;
  /** Starting: its pod exists but is not (or no longer) able to serve. */
  readonly health: 'Starting' | 'Healthy' | 'Suspect' | 'Failed';
  readonly evidence: readonly string[];
  readonly revision: string;
  readonly draining: boolean;
  /** Assignment that the worker says is in force; 0/0 = none. */
  readonly generation: number;
  readonly epoch: number;
  /** All slots of that assignment are in its exposition, and those who read it have read it since. Absent: not known. */
  readonly shown?: boolean;
}

/** A standby that could serve at once, beside an active worker that does not serve, or no longer should. */
export interface StandbyObservation {
  readonly shardId: ShardId;
  readonly replica: Replica;
  readonly revision: string;
  /** What is seen of the active worker. */
  readonly active: { readonly lost: boolean; readonly terminating: boolean };
  /** What `active` rests on, in words. */
  readonly evidence: readonly string[];
}

/** What a ShardInstance said before the log was lost; slots from its ranges (`rangesToSlots`). */
export interface ShardInstanceClaim {
  readonly shardId: ShardId;
  readonly generation: number;
  readonly epoch: number;
  readonly active: Replica;
  readonly owned: readonly SlotIndex[];
  readonly releasing: readonly SlotIndex[];
  /** Lost ones that it was to keep exposing. */
  readonly keeping: readonly SlotIndex[];
}

export interface ObservedConfig {
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  /** metadata.generation. */
  readonly specGeneration: number;
  readonly settings: Settings;
  /** Hash of the worker template: label `shard.io/revision`. */
  readonly revision: string;
}

export type CommandBody =
  | { readonly type: 'ConfigObserved'; readonly config: ObservedConfig; readonly isRestored?: boolean }
  /**
   * The spec got past the API server but not past the schema. `isRestored`, here and above: its generation is an older
   * one than the state's, and a consistent read says so, too: a backup of the API server was restored.
   */
  | {
      readonly type: 'ConfigInvalid';
      readonly specGeneration: number;
      readonly problems: readonly string[];
      readonly isRestored?: boolean;
    }
  | { readonly type: 'ConfigDeleted' }
  | { readonly type: 'ShardObserved'; readonly observation: ShardObservation }
  | { readonly type: 'StandbyReady'; readonly observation: StandbyObservation }
  /** No pod of a shard beyond the wanted ones exists now. */
  | { readonly type: 'PodGone'; readonly shardId: ShardId }
  /** One entry of a heartbeat's `handovers`. */
  | {
      readonly type: 'HandoverObserved';
      readonly shardId: ShardId;
      readonly handover: Handover;
    }
  /** Both sides answered, or did not; the shell has asked again often enough. Only for step Verification. */
  | {
      readonly type: 'VerificationFinished';
      readonly migration: MigrationId;
      readonly equal: boolean;
      readonly detail: string;
    }
  /** Every scraper of the source has completed a scrape of the target. Only for step Cleanup before the commit. */
  | { readonly type: 'ScrapersMoved'; readonly migration: MigrationId; readonly detail: string }
  /** About once a second: checks deadlines and figures. Never rejected. */
  | { readonly type: 'Tick' }
  /**
   * At the start of leadership: the log is empty, re-created or behind the ShardInstances, or ends with the deletion of
   * a ShardConfig that is there again.
   */
  | {
      readonly type: 'LogLost';
      readonly config: ObservedConfig;
      /** Higher than any generation seen in the ShardInstances. */
      readonly generation: number;
      readonly instances: readonly ShardInstanceClaim[];
      readonly reason: string;
    };

export type Command = CommandContext & CommandBody;
