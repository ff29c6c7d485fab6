import { isAborted } from '@shard-controller/shared/kubernetes';

import { errorCode, errorMessage } from '@shard-controller/shared/runtime';

/** One sentence, with the code of the error. */
export interface EffectProblem {
  readonly code: string;
  readonly message: string;
}

/** Makes one thing as it should be; false when it has to be checked again soon. */
export type Effect = () => Promise<boolean>;

/** One round of effects: each is attempted whatever became of the others, as long as this manager leads. */
export class EffectRound {
  readonly signal: AbortSignal;
  readonly #leads: () => boolean;
  readonly #problems = new Map<string, EffectProblem>();
  #settled = true;

  constructor(leads: () => boolean, signal: AbortSignal) {
    this.#leads = leads;
    this.signal = signal;
  }

  /** Everything attempted is as it should be. */
  get settled(): boolean {
    return this.#settled;
  }

  /** What could not be done and why, each once. */
  get problems(): readonly EffectProblem[] {
    return [...this.#problems.values()];
  }

  /** Never rejects. */
  async attempt(effect: Effect): Promise<void> {
    if (this.signal.aborted || !this.#leads()) return;
    try {
      if (!(await effect())) this.#settled = false;
    } catch (error) {
      if (this.signal.aborted) return;
      this.#settled = false;
      if (isAborted(error)) return;
      const problem = problemOf(error);
      this.#problems.set(problem.message, problem);
    }
  }
}

/** An effect failed with an error without a code. @remedy as the message says; it is tried again. */
const EFFECT_FAILED = 'SC_EFFECT';

function problemOf(error: unknown): EffectProblem {
  return { code: errorCode(error) ?? EFFECT_FAILED, message: errorMessage(error) };
}
