import type { Handover } from '@shard-controller/shared/contracts';
import type { SlotAssignment } from '../resource-processor/index.ts';

/** What the feeds say about a set of slots, over all of them. */
export interface SlotProgress {
  /** Every feed's exporter has rendered all objects of these slots. */
  acknowledged(slots: readonly number[]): boolean;
  /** No feed's exporter shows an object of these slots any more. */
  released(slots: readonly number[]): boolean;
  objects(slots: readonly number[]): number;
  /** Why loading does not get on right now, if it does not. */
  problem(): string | undefined;
}

/** Progress of the assignment's migrations, as the heartbeat reports it. Remembers when each was acknowledged. */
export class HandoverLedger {
  readonly #acknowledgedAt = new Map<string, number>();

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
      };
    });
    const named = new Set(assignment.warm.map(({ migration }) => migration));
    for (const migration of this.#acknowledgedAt.keys()) {
      if (!named.has(migration)) this.#acknowledgedAt.delete(migration);
    }
    return [...targets, ...sources];
  }

  #target(migration: string, slots: readonly number[], progress: SlotProgress, now: number): Handover {
    const objects = progress.objects(slots);
    if (progress.acknowledged(slots)) {
      const acknowledgedAt = this.#acknowledgedAt.get(migration) ?? now;
      this.#acknowledgedAt.set(migration, acknowledgedAt);
      return { migration, role: 'target', state: 'acknowledged', acknowledgedAt, objects };
    }
    // An exporter that was restarted meanwhile shows nothing: what it had acknowledged counts no more.
    this.#acknowledgedAt.delete(migration);
    const problem = progress.problem();
    const error = problem === undefined ? {} : { error: problem.slice(0, 500) };
    return { migration, role: 'target', state: 'warming', objects, ...error };
  }
}
