import { availableParallelism, loadavg } from 'node:os';
import type { Expectation, LiveFigures } from '../verifier/index.ts';
import type { LoggedEvent, OpenMigration } from './decision-log.ts';
import { type Fleet, pause } from './fleet.ts';

/** What is done to the fleet, and what it has to end as. */
export interface Phase {
  readonly name: string;
  /** A sentence for the person who watches. */
  readonly about: string;
  /** Whether it is a planned change: then no series may be missing. */
  readonly planned: boolean;
  readonly expectation: Expectation;
  /** Least number of slots that must move, from the owners before. */
  readonly minimum: (owners: readonly string[]) => number;
  /** Does it; resolves when the fleet is whole again. */
  readonly act: (fleet: Fleet, say: (text: string) => void) => Promise<void>;
  /** Done before the figures start, for example to quieten the churn. */
  readonly before?: (fleet: Fleet) => Promise<void>;
  /** Done after the figures, for example to repair a node. */
  readonly after?: (fleet: Fleet, say: (text: string) => void) => Promise<void>;
}

/** One row of the table and one element of the JSON line. Times in ms. */
export interface PhaseResult {
  readonly name: string;
  readonly planned: boolean;
  readonly ms: number;
  readonly ticks: number;
  readonly ticksPromised: number;
  readonly intervalMs: number;
  readonly missingMax: number;
  readonly missingMs: number;
  /** From the start of the phase to the end of the last tick with a missing series. */
  readonly missingUntilMs: number;
  readonly lateMaxMs: number;
  readonly doubledMax: number;
  readonly doubledMs: number;
  /** Longest acknowledge time of a migration of the phase: what `doubledMs` is held against. */
  readonly acknowledgeMs: number;
  /** Processes that wanted a core, per core, on average: above 1 the machine was short of them. */
  readonly machineLoad: number;
  readonly slotsMoved: number;
  readonly slotsMinimum: number;
  readonly compared: string;
  /** Why the phase failed; empty when it did not. */
  readonly failures: readonly string[];
  /** Set when the verifier could look too rarely to judge: fewer than 80 % of the promised ticks. */
  readonly unjudged: string | undefined;
  readonly samples: readonly string[];
}

/** Share of the promised ticks that a phase must have. */
const TICKS_NEEDED = 0.8;

export async function runPhase(fleet: Fleet, phase: Phase, say: (text: string) => void): Promise<PhaseResult> {
  await phase.before?.(fleet);
  const owners = fleet.log.owners;
  const movedBefore = fleet.log.slotsMoved;
  const acknowledged = watchAcknowledgements(fleet);
  const machineLoad = watchMachineLoad();
  const stopTelling = tell(fleet, say);
  // The last move before the phase, a repaired node's for example, must not count as this one's.
  await fleet.verifier.waitFor('nothing doubled any more', (live) => live.doubledNow === 0);
  await fleet.verifier.startPhase(phase.name, phase.expectation);
  const start = performance.now();
  let problem: string | undefined;
  try {
    await phase.act(fleet, say);
  } catch (error) {
    problem = error instanceof Error ? error.message : String(error);
  }
  const ms = Math.round(performance.now() - start);
  // The phase is over for the manager; what the very next scrapes still show doubled would be left over.
  await ticks(fleet, 2);
  const figures = await fleet.verifier.endPhase();
  const load = machineLoad();
  stopTelling();
  await fleet.churn.pause();
  const comparison = await fleet.verifier.compare();
  const acknowledgeMs = acknowledged();
  const slotsMoved = fleet.log.slotsMoved - movedBefore;
  await phase.after?.(fleet, say);
  fleet.churn.setMode('everything');
  fleet.churn.resume();

  const slotsMinimum = phase.minimum(owners);
  const compared = comparison.equal
    ? `${comparison.lines} series equal after ${comparison.ms} ms`
    : `NOT equal after ${comparison.ms} ms: ${comparison.difference}`;
  return {
    name: phase.name,
    planned: phase.planned,
    ms,
    ticks: figures.ticks,
    ticksPromised: figures.ticksPromised,
    intervalMs: figures.intervalMs,
    missingMax: figures.missingMax,
    missingMs: figures.missingMs,
    missingUntilMs: figures.missingUntilMs,
    lateMaxMs: figures.lateMaxMs,
    doubledMax: figures.doubledMax,
    doubledMs: figures.doubledMs,
    acknowledgeMs,
    machineLoad: load,
    slotsMoved,
    slotsMinimum,
    compared,
    samples: figures.samples,
    unjudged:
      figures.ticks < TICKS_NEEDED * figures.ticksPromised
        ? `only ${figures.ticks} of ${figures.ticksPromised} ticks at a load of ${load.toFixed(1)} per core: the machine is too busy to judge`
        : undefined,
    failures: [
      ...(problem === undefined ? [] : [problem]),
      ...judge(phase, figures, load),
      ...(phase.planned && slotsMoved > slotsMinimum ? [`${slotsMoved} slots moved, ${slotsMinimum} would do`] : []),
      ...(comparison.equal ? [] : [compared]),
    ],
  };
}

function judge(phase: Phase, figures: LiveFigures, load: number): string[] {
  const failures: string[] = [];
  if (phase.planned && figures.missingMax > 0) {
    failures.push(
      `${figures.missingMax} series missing, for ${figures.missingMs} ms in all, at a machine load of ${load.toFixed(1)} per core`,
    );
  }
  if (figures.doubledNow > 0) failures.push(`${figures.doubledNow} series still doubled at the end`);
  return failures;
}

/** Resolves after `count` more ticks of the verifier. */
async function ticks(fleet: Fleet, count: number): Promise<void> {
  for (let i = 0; i < count; i++) await fleet.verifier.waitFor('a tick of the verifier', () => true);
}

/** Measures started -> acknowledged of every migration until called. */
function watchAcknowledgements(fleet: Fleet): () => number {
  const started = new Map<unknown, number>();
  let longest = 0;
  const stop = fleet.log.onEvent((event) => {
    if (event.type === 'shard.migration.started.v1') started.set(event['id'], event.at);
    if (event.type === 'shard.migration.acknowledged.v1') {
      longest = Math.max(longest, event.at - (started.get(event['id']) ?? event.at));
    }
  });
  return () => {
    stop();
    return longest;
  };
}

/** The kernel's load of the last minute, read every second until called. */
function watchMachineLoad(): () => number {
  const cores = availableParallelism();
  const looks: number[] = [];
  const look = (): void => void looks.push((loadavg()[0] ?? 0) / cores);
  look();
  const timer = setInterval(look, 1000);
  return () => {
    clearInterval(timer);
    return looks.reduce((sum, each) => sum + each, 0) / looks.length;
  };
}

/** Prints decisions as they come and figures every two seconds. */
function tell(fleet: Fleet, say: (text: string) => void): () => void {
  const start = performance.now();
  const at = (): string => `${((performance.now() - start) / 1000).toFixed(1).padStart(6)} s`;
  const stopEvents = fleet.log.onEvent((event) => {
    const text = describe(event);
    if (text !== undefined) say(`${at()}  ${text}`);
  });
  let told = performance.now();
  const stopTicks = fleet.verifier.onTick((live) => {
    if (performance.now() - told < 2000) return;
    told = performance.now();
    say(
      `${at()}  ${live.targets.length - 1} targets, ${live.expected} series expected: ${live.missingMax} missing so far, ` +
        `${live.doubledNow} doubled now, ${fleet.log.open.length} migrations open`,
    );
  });
  return () => {
    stopEvents();
    stopTicks();
  };
}

function describe(event: LoggedEvent): string | undefined {
  const id = typeof event['id'] === 'string' ? event['id'] : '';
  switch (event.type) {
    case 'shard.scaled.v1':
      return `decision: ${String(event['from'])} -> ${String(event['to'])} shards`;
    case 'shard.migration.planned.v1':
      return `migration ${id}: ${(event['slots'] as readonly number[]).length} slots, ${String(event['source'])} -> ${String(event['target'])}`;
    case 'shard.migration.committed.v1':
      return `migration ${id}: committed (${String(event['because'])})`;
    case 'shard.migration.rolledback.v1':
      return `migration ${id}: rolled back in ${String(event['step'])}: ${String(event['reason'])}`;
    case 'shard.health.changed.v1':
      return `${String(event['shardId'])}: ${String(event['from'])} -> ${String(event['to'])}`;
    case 'shard.slots.assigned.v1':
      return `slots assigned at once (${String(event['cause'])})`;
    case 'shard.rollout.started.v1':
      return `rolling update with one extra worker, ${String(event['surge'])}`;
    case 'shard.rollout.replacing.v1':
      return `${String(event['shardId'])} exposes nothing: its pod is replaced`;
    default:
      return undefined;
  }
}

/**
 * Starts a move and resolves with a migration of at least `slots` slots that is between Preparation and Cleanup.
 * @throws Error when none is seen within 60 s.
 */
export async function midMigration(fleet: Fleet, slots = 32): Promise<OpenMigration> {
  const deadline = performance.now() + 60_000;
  while (performance.now() < deadline) {
    const found = fleet.log.open.find((migration) => migration.step !== 'Planning' && migration.slots.length >= slots);
    if (found !== undefined) return found;
    await pause(5);
  }
  throw new Error(`no migration of ${slots} slots or more began within 60 s`);
}
