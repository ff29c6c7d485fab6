import type { Clock } from '@shard-controller/shared/runtime';

export interface IsolationFacts {
  readonly natsConnected: boolean;
  /** Monotonic time of the API server's newest sign of life, ms; undefined for none yet. */
  readonly apiProofMs: number | undefined;
}

/** The API server has been silent for longer than any life sign's interval: reads every 5 s, status every 10 s. */
const SILENCE_MS = 25_000;

/**
 * Why this worker counts as cut off from everything, or undefined. No message can reach it that its slots were given to
 * another worker then.
 */
export function isolationOf({ natsConnected, apiProofMs }: IsolationFacts, clock: Clock): string | undefined {
  if (natsConnected || apiProofMs === undefined) return undefined;
  const silentMs = clock.monotonic() - apiProofMs;
  if (silentMs < SILENCE_MS) return undefined;
  return `neither NATS nor the API server has answered for ${Math.round(silentMs / 1000)} s`;
}
