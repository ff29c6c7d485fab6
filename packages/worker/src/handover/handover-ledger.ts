import type { Handover } from '@shard-controller/shared/contracts';
import type { SlotAssignment } from '../slots/index.ts';

/** What the feeds say about a set of slots, over all of them. */
export interface SlotProgress {
  /**
   * The exporter has rendered all objects of these slots, except those of kinds that cannot be read now. A kind that has
   * been mended is waited for, unless `goesWithout` says that the slots were acknowledged without it.
   */
  acknowledged(slots: readonly number[], goesWithout?: boolean): boolean;
  /** The exporter no longer shows any object of these slots, as far as it can be told. */
  released(slots: readonly number[]): boolean;
  /** Number of kinds that cannot be read now. */
  readonly leftOut: number;
  objects(slots: readonly number[]): number;
  /** Why loading makes no progress right now, if it does not. */
  problem(): string | undefined;
}

/** Progress of the assignment's migrations, as the heartbeat reports it. Remembers when and how each was acknowledged. */
export class HandoverLedger {
  readonly #acknowledged = new Map<string, { readonly at: number; readonly without: number }>();

  /**
   * @param now ms since the epoch.
   */
  handovers(assignment: SlotAssignment | undefined, progress: SlotProgress, now: number): Handover[] {
    if (assignment === undefined) return [];
    const targets = assignment.warm.map(({ migration, slots }) => this.#target(migration, slots, progress, now));
    const sources = assignment.release.map(({ migration, slots }): Handover => {
      const released = progress.released(slots);
      return {
        migration,
        role: 'source',
        state: released ? 'released' : 'releasing',
        objects: progress.objects(slots),
        ...leavesOut(progress.leftOut),
      };
    });
    const named = new Set(assignment.warm.map(({ migration }) => migration));
    for (const migration of this.#acknowledged.keys()) {
      if (!named.has(migration)) this.#acknowledged.delete(migration);
    }
    return [...targets, ...sources];
  }

  #target(migration: string, slots: readonly number[], progress: SlotProgress, now: number): Handover {
    const objects = progress.objects(slots);
    const before = this.#acknowledged.get(migration);
    if (progress.acknowledged(slots, before !== undefined && before.without > 0)) {
      const { at, without } = before ?? { at: now, without: progress.leftOut };
      this.#acknowledged.set(migration, { at, without });
      return { migration, role: 'target', state: 'acknowledged', acknowledgedAt: at, objects, ...leavesOut(without) };
    }
    // An exporter that was restarted meanwhile shows nothing: what it had acknowledged counts no more.
    this.#acknowledged.delete(migration);
    const problem = progress.problem();
    const error = problem === undefined ? {} : { error: problem.slice(0, 500) };
    return { migration, role: 'target', state: 'warming', objects, ...error };
  }
}

const leavesOut = (kinds: number): { without?: number } => (kinds === 0 ? {} : { without: kinds });
