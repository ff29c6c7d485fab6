import type { Logger } from '../observability/index.ts';
import { ConfigError } from './config.ts';
import { errorCode, errorMessage } from './error-text.ts';

/** Exit codes of our processes. */
export const EXIT = {
  /** Ended as asked. */
  ok: 0,
  /** Something failed; starting again may help. */
  failed: 1,
  /** The configuration is wrong; starting again does not help. */
  config: 2,
} as const;

export interface MainOptions {
  readonly logger: Logger;
  /** Time between the signal and the forced end, ms. Longer than the grace period of the components. */
  readonly graceMs?: number;
}

/** The process did not end in its time. @remedy report it with the log if it repeats. */
class ShutdownTimeoutError extends Error {
  override readonly name = 'ShutdownTimeoutError';
  readonly code = 'SC_SHUTDOWN_TIMEOUT';
}

/**
 * Runs a process: `main` gets a signal that aborts on SIGTERM and SIGINT and should then resolve. A second signal ends
 * at once. An error of `main`, an unhandled rejection or an uncaught exception is one line in the log, and exit code 1
 * (2 for a wrong configuration); after it nothing of this process can be trusted.
 */
export async function runMain(main: (signal: AbortSignal) => Promise<void>, options: MainOptions): Promise<void> {
  const { logger, graceMs = 180_000 } = options;
  const controller = new AbortController();
  const fail = (error: unknown, what: string): void => {
    const code = errorCode(error);
    const message = errorMessage(error);
    // A coded error speaks for itself; the stack of any other one is needed to find its place.
    logger.fatal(code?.startsWith('SC_') ? { code } : { code, err: error }, `${what}: ${message}`);
    process.exit(error instanceof ConfigError ? EXIT.config : EXIT.failed);
  };
  const onSignal = (signal: NodeJS.Signals): void => {
    if (controller.signal.aborted) {
      logger.warn({ signal }, 'second signal: exiting at once');
      process.exit(EXIT.failed);
    }
    logger.info({ signal }, 'shutting down');
    controller.abort();
    setTimeout(
      () => fail(new ShutdownTimeoutError(`still running ${graceMs} ms after ${signal}`), 'end'),
      graceMs,
    ).unref();
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  process.on('unhandledRejection', (error) => fail(error, 'unhandled rejection'));
  process.on('uncaughtException', (error) => fail(error, 'uncaught exception'));
  try {
    await main(controller.signal);
  } catch (error) {
    fail(error, 'failed');
  }
  process.exit(EXIT.ok);
}
