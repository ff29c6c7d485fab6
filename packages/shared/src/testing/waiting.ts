import { errorMessage } from '../runtime/error-text.ts';
/**
 * How long a test waits for what has to come, ms. Where it comes the wait ends at once, and no machine, however busy, needs
 * it all: time must not decide a test.
 */
export const PATIENCE_MS = 120_000;

export interface WaitOptions {
  readonly patienceMs?: number;
  readonly everyMs?: number;
  /** What else to say when it did not come: logs, a status. */
  readonly context?: () => string;
}

/** Waits until `check` finds no problem; what it throws is one. Fails with the last. */
export async function untilWell(
  check: () => string | undefined | Promise<string | undefined>,
  { patienceMs = PATIENCE_MS, everyMs = 10, context = () => '' }: WaitOptions = {},
): Promise<void> {
  await retried(
    async () => {
      const problem = await check();
      if (problem !== undefined) throw new Error(problem);
    },
    { patienceMs, everyMs, context },
  );
}

/** Waits until `holds` does. Fails with `what`, and with what it threw last. */
export async function waitUntil(
  what: string,
  holds: () => boolean | Promise<boolean>,
  options: WaitOptions = {},
): Promise<void> {
  await untilWell(async () => ((await holds()) ? undefined : what), options);
}

/** `waitUntil` for what happens in this process: looks every millisecond, and fails with the text of `holds`. */
export const until = (holds: () => boolean): Promise<void> => waitUntil(holds.toString(), holds, { everyMs: 1 });

/** What `attempt` gives as soon as it does not throw. */
export async function retried<T>(
  attempt: () => T | Promise<T>,
  { patienceMs = PATIENCE_MS, everyMs = 10, context = () => '' }: WaitOptions = {},
): Promise<T> {
  const end = performance.now() + patienceMs;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      const said = errorMessage(error);
      if (performance.now() > end)
        throw new Error(`still so after ${patienceMs} ms: ${said}\n${context()}`, { cause: error });
    }
    await elapse(everyMs);
  }
}

/**
 * Lets time pass: in which something must not come, or for a trouble to last. It can hide a fault on a machine that is slow,
 * but must never be what a test passes by: what has to come is waited for.
 */
export async function elapse(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}

const OWN_TIME_EVERY_MS = 50;

/**
 * A watch for what this process itself has to do in time: what its timers were late, because others had the machine, does
 * not count.
 */
export class OwnTime {
  readonly #startedAt = performance.now();
  #lastAt = this.#startedAt;
  #lateMs = 0;
  readonly #timer = setInterval(() => {
    const now = performance.now();
    this.#lateMs += Math.max(0, now - this.#lastAt - OWN_TIME_EVERY_MS);
    this.#lastAt = now;
  }, OWN_TIME_EVERY_MS);

  /** ms since it was made; ends the measurement. */
  stop(): number {
    clearInterval(this.#timer);
    return performance.now() - this.#startedAt - this.#lateMs;
  }
}
