import type { Command } from './commands.ts';
import type { ShardEvent } from './events.ts';
import type { ShardConfigState } from './state.ts';

/**
 * Outcome of a command. `decided` may be empty for a Tick or an observation that changes nothing further. `rejected`:
 * no state of the asked machine handles the command now; count and log it with `machine` and `reason`, change nothing.
 */
export type Decision =
  | { readonly kind: 'decided'; readonly events: readonly ShardEvent[] }
  | { readonly kind: 'rejected'; readonly machine: string; readonly reason: string };

/**
 * Decides about one command. Pure. Store `events` in order with expected sequence `state.sequence`, then fold each
 * with its own sequence: `evolve(state, event, sequence)`.
 */
export type Decide = (state: ShardConfigState, command: Command) => Decision;
