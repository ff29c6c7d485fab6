/** What the planner sees of the cluster. */

export interface ObservedNode {
  readonly name: string;
  /** Label `topology.kubernetes.io/zone`. */
  readonly zone: string | undefined;
}

/** A pod that carries the labels of a KSMScale. */
export interface ObservedPod {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Its controller, if it has one. */
  readonly controllerUid: string | undefined;
  readonly createdMs: number;
  readonly isReady: boolean;
  /** Phase Failed or Succeeded: it runs no more. */
  readonly isFinished: boolean;
  /** When it is to be gone at last; undefined unless it is being deleted. */
  readonly deletionMs: number | undefined;
  readonly node: string | undefined;
  readonly address: string | undefined;
  /** Why it does not run, in words of the scheduler or the kubelet. */
  readonly problem: string | undefined;
}

/** An object beside the pods: what is compared of it with what is wanted. */
export interface ObservedObject {
  readonly kind: 'Service' | 'PodDisruptionBudget';
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly resourceVersion: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly ownerUids: readonly string[];
  readonly spec: unknown;
}

/** Not terminating, not finished: what counts as a replica. */
export const isLive = (pod: ObservedPod): boolean => pod.deletionMs === undefined && !pod.isFinished;

export const isServing = (pod: ObservedPod): boolean => isLive(pod) && pod.isReady;
