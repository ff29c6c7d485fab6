import type { KsmScale } from '@shard-controller/shared/api';
import type { ObservedNode, ObservedPod } from '../observation.ts';
import { isServing } from '../observation.ts';
import { shareOf } from '../pod-plan.ts';
import { type Action, passResult, plan, type Plan } from '../plan.ts';
import { NOW_MS, podOf, viewOf } from './scales.ts';

/** A cluster as far as a KSMScale can tell: names are unique, deletions take time, requests may fail. */
export class ModelCluster {
  scale: KsmScale;
  nodes: readonly ObservedNode[];
  readonly pods = new Map<string, ObservedPod>();
  /** Decides whether a request of this kind fails. */
  fails: (action: Action) => boolean = () => false;
  #nowMs = NOW_MS;
  #created = 0;

  constructor(scale: KsmScale, nodes: readonly ObservedNode[]) {
    this.scale = scale;
    this.nodes = nodes;
  }

  get all(): readonly ObservedPod[] {
    return [...this.pods.values()];
  }

  /** One pass: plans, does what can be done, writes the status. Returns the plan and the pods seen. */
  pass(): { readonly plan: Plan; readonly seen: readonly ObservedPod[] } {
    this.#nowMs += 1_000;
    const seen = this.all;
    const view = { ...viewOf(this.scale, this.nodes, seen), nowMs: this.#nowMs };
    const planned = plan(view);
    const errors = planned.actions.filter((action) => !this.#do(action)).map(({ type }) => `${type} failed`);
    this.scale = { ...this.scale, status: passResult(view, planned, errors).status };
    return { plan: planned, seen };
  }

  /** Changes a pod that is there. */
  change(name: string, fields: Partial<ObservedPod>): void {
    const pod = this.pods.get(name);
    if (pod !== undefined) this.pods.set(name, { ...pod, ...fields });
  }

  /** Everything that is being deleted is gone, everything else runs. */
  settle(): void {
    for (const [name, pod] of this.pods) {
      if (pod.deletionMs !== undefined) this.pods.delete(name);
      else if (!pod.isFinished) this.pods.set(name, { ...pod, isReady: true, problem: undefined });
    }
  }

  /** Passes without trouble until nothing is left to do. */
  rest(): number {
    this.fails = () => false;
    for (let passes = 1; passes <= 2_000; passes += 1) {
      this.settle();
      const { actions } = this.pass().plan;
      if (actions.every(({ type }) => type === 'ApplyObject')) return passes;
    }
    throw new Error('the plan never comes to rest');
  }

  #do(action: Action): boolean {
    if (this.fails(action)) return false;
    if (action.type === 'CreatePod') {
      const { name } = action.pod.metadata;
      if (this.pods.has(name)) throw new Error(`${name} is made a second time`);
      this.#created += 1;
      const fields = { uid: `pod-${this.#created}`, isReady: false, createdMs: this.#nowMs };
      this.pods.set(name, podOf(action.pod, fields));
    }
    if (action.type === 'DeletePod') {
      const { name, deletionMs } = action.pod;
      if (deletionMs === undefined) this.change(name, { deletionMs: this.#nowMs + 30_000, isReady: false });
      else this.pods.delete(name);
    }
    return true;
  }
}

/** Serving pods for each share of the objects. */
export function servingByShare(pods: readonly ObservedPod[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const pod of pods.filter(isServing)) counts.set(shareOf(pod), (counts.get(shareOf(pod)) ?? 0) + 1);
  return counts;
}
