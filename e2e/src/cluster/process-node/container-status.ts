import { constants } from 'node:os';

/** The three states of `containerStatuses[].state`, as the kubelet writes them. */
export type ContainerState =
  | { readonly waiting: { readonly reason: string; readonly message?: string } }
  | { readonly running: { readonly startedAt: string } }
  | { readonly terminated: Termination };

export interface Termination {
  readonly exitCode: number;
  readonly signal?: number;
  readonly reason: string;
  readonly message?: string;
  readonly startedAt: string;
  readonly finishedAt: string;
}

export interface ContainerStatus {
  readonly name: string;
  readonly image: string;
  readonly imageID: string;
  readonly containerID?: string;
  readonly ready: boolean;
  readonly started: boolean;
  readonly restartCount: number;
  readonly state: ContainerState;
  readonly lastState: ContainerState | Readonly<Record<string, never>>;
}

/** Kubernetes' metav1.Time: seconds, UTC. */
export function timestamp(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}

/** How a process ended, in a container's words: 128 + signal where a signal ended it. */
export function terminationOf(
  end: { readonly code: number | null; readonly signal: NodeJS.Signals | null },
  startedAt: string,
  finishedAt: string,
): Termination {
  const signal = end.signal === null ? undefined : constants.signals[end.signal];
  const exitCode = end.code ?? 128 + (signal ?? 0);
  return {
    exitCode,
    ...(signal === undefined ? {} : { signal }),
    reason: exitCode === 0 ? 'Completed' : 'Error',
    startedAt,
    finishedAt,
  };
}

/** The wait before a restart: none for the first, then 1 s, doubled up to a minute (the kubelet begins at 10 s). */
export function restartDelayMs(restartsInARow: number): number {
  return restartsInARow === 0 ? 0 : Math.min(60_000, 1000 * 2 ** (restartsInARow - 1));
}

/** So long a run makes the back-off start again. */
export const BACKOFF_RESET_MS = 120_000;
