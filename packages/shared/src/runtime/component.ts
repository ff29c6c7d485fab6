import type { Logger } from '../observability/index.ts';
import { type Clock, systemClock } from './clock.ts';
import { errorMessage } from './error-text.ts';

/** A part of a process that is started in order and stopped in reverse. */
export interface Component {
  readonly name: string;
  /** Resolves when the part is in service. `signal` aborts when the process has to end before that. */
  start(signal: AbortSignal): Promise<void>;
  /** Resolves when nothing of it is left. Called only after `start` has resolved. */
  stop(): Promise<void>;
  /** Settles when the part has ended by itself, which ends the process. Read after `start`. */
  readonly ended?: Promise<void>;
}

export type ComponentErrorCode =
  /** A part of the process did not start. @remedy as the message says; the pod is started again. */
  | 'SC_COMPONENT_START'
  /** A part of the process ended before the process did. @remedy as the message says; the pod is started again. */
  | 'SC_COMPONENT_ENDED'
  /** A part of the process did not stop in time. @remedy report it with the log if it repeats. */
  | 'SC_COMPONENT_STOP';

/** A component failed; `cause` says how. */
export class ComponentError extends Error {
  override readonly name = 'ComponentError';
  readonly code: ComponentErrorCode;
  readonly component: string;
  constructor(code: ComponentErrorCode, component: string, message: string, cause?: unknown) {
    super(message, { cause });
    this.code = code;
    this.component = component;
  }
}

/** Why something failed, as text for the end of a sentence. */
const reason = (error: unknown): string => errorMessage(error);

/**
 * A component out of a loop that runs until its signal aborts. A loop that returns or rejects before that ends the
 * process: a part that silently stopped working is worse than a restart.
 */
export function task(name: string, run: (signal: AbortSignal) => Promise<void>): Component {
  const controller = new AbortController();
  let running: Promise<void> | undefined;
  return {
    name,
    async start() {
      running = run(controller.signal);
      // A reader of `ended` sees the rejection; before that it must not count as unhandled.
      running.catch(() => undefined);
    },
    async stop() {
      controller.abort();
      await running;
    },
    get ended() {
      return running ?? Promise.resolve();
    },
  };
}

export interface RunOptions {
  /** Aborts when the process has to end. */
  readonly signal: AbortSignal;
  readonly logger: Logger;
  /** Time for stopping all components together, ms. */
  readonly graceMs?: number;
  readonly clock?: Clock;
}

/**
 * Starts the components in order, waits until `signal` aborts or one of them ends by itself, and stops those that were
 * started in reverse order. Every one is stopped, even when another fails to; within `graceMs` altogether.
 *
 * @throws ComponentError for the first thing that went wrong
 */
export async function runComponents(components: readonly Component[], options: RunOptions): Promise<void> {
  const { signal, logger } = options;
  const started: Component[] = [];
  let failure: ComponentError | undefined;
  try {
    for (const component of components) {
      if (signal.aborted) break;
      await component.start(signal);
      started.push(component);
      logger.debug({ part: component.name }, 'started');
    }
    if (!signal.aborted) failure = await firstEnd(started, signal);
  } catch (error) {
    // A start that was cut short by the end of the process is no failure.
    const name = components[started.length]?.name ?? 'unknown';
    if (!signal.aborted) {
      failure = new ComponentError('SC_COMPONENT_START', name, `${name} did not start: ${reason(error)}`, error);
    }
  }
  const stopFailure = await stopAll(started, options);
  if (failure !== undefined) throw failure;
  if (stopFailure !== undefined) throw stopFailure;
}

/** Waits for the signal (undefined) or for a component that ends by itself. */
async function firstEnd(started: readonly Component[], signal: AbortSignal): Promise<ComponentError | undefined> {
  const aborted = Promise.withResolvers<undefined>();
  const onAbort = (): void => aborted.resolve(undefined);
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  const ends = started.flatMap(({ name, ended }) => {
    if (ended === undefined) return [];
    return ended.then(
      () => new ComponentError('SC_COMPONENT_ENDED', name, `${name} ended unexpectedly`),
      (error: unknown) => new ComponentError('SC_COMPONENT_ENDED', name, `${name} failed: ${reason(error)}`, error),
    );
  });
  try {
    const first = await Promise.race([aborted.promise, ...ends]);
    return signal.aborted ? undefined : first;
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

async function stopAll(started: readonly Component[], options: RunOptions): Promise<ComponentError | undefined> {
  const { logger, graceMs = 30_000, clock = systemClock } = options;
  const deadline = clock.monotonic() + graceMs;
  let failure: ComponentError | undefined;
  for (const component of started.toReversed()) {
    const { name } = component;
    const timer = new AbortController();
    const late = clock.sleep(Math.max(0, deadline - clock.monotonic()), timer.signal).then(() => 'late' as const);
    try {
      const outcome = await Promise.race([component.stop().then(() => 'stopped' as const), late]);
      if (outcome === 'stopped') {
        logger.debug({ part: name }, 'stopped');
        continue;
      }
      failure ??= new ComponentError('SC_COMPONENT_STOP', name, `${name} did not stop within ${graceMs} ms`);
      logger.error({ part: name, graceMs }, 'did not stop in time');
    } catch (error) {
      failure ??= new ComponentError('SC_COMPONENT_STOP', name, `${name} did not stop: ${reason(error)}`, error);
      logger.error({ part: name, err: error }, 'did not stop cleanly');
    } finally {
      timer.abort();
    }
  }
  return failure;
}
