import { resolveBinary } from '../cluster/binaries.ts';
import { startNatsProcess } from './nats-process.ts';

/** A real NATS server with JetStream and `sync_interval: always` that a test can break. */
export interface NatsServer {
  readonly url: string;
  /** False for a server that we do not run: then the methods below reject. */
  readonly breakable: boolean;
  /** Ends it in order; data and port stay. */
  stop(): Promise<void>;
  /** SIGKILL; data and port stay. */
  kill(): Promise<void>;
  /** Starts it again, on the same port with the same data, after `stop` or `kill`. */
  restart(): Promise<void>;
  /** Freezes it: connections stay open, nothing answers. */
  pause(): Promise<void>;
  resume(): Promise<void>;
  /** Keeps a copy of the stored data, as a backup would. Only while it is stopped; rejects where it cannot be done. */
  backUp(): Promise<void>;
  /** Puts the copy back in place of the present data. Only while it is stopped. */
  restoreBackup(): Promise<void>;
  /** Ends it and deletes its data. */
  dispose(): Promise<void>;
}

export interface NatsServerOptions {
  /**
   * The test neither breaks the server nor deletes streams: a server that others use will do, and NATS_URL is taken
   * when it is set. Default false.
   */
  readonly shared?: boolean;
  /** More lines of nats-server configuration, such as `authorization { token: "…" }`. */
  readonly config?: string;
}

/** Thrown when there is no NATS server to be had; the message says how to name one. */
class NatsServerMissingError extends Error {
  override readonly name = 'NatsServerMissingError';
  readonly code = 'SC_NATS_SERVER_MISSING';
}

/** Path of the binary; undefined when a container is asked for, or when none is there. @throws BinaryMissingError */
function binary(): string | undefined {
  if (process.env['SHARD_CONTROLLER_NATS'] === 'container') return undefined;
  try {
    return resolveBinary('nats-server');
  } catch (error) {
    // A binary that was named and is not there is a mistake to show, not a reason to look elsewhere.
    if (process.env['NATS_SERVER_BIN'] !== undefined || process.env['SHARD_CONTROLLER_BIN_DIR'] !== undefined)
      throw error;
    return undefined;
  }
}

/**
 * Starts a NATS server for a test: a process of the binary that NATS_SERVER_BIN or SHARD_CONTROLLER_BIN_DIR names, or
 * a container when SHARD_CONTROLLER_NATS is `container` or no binary is named. A test that may share one gets the
 * server at NATS_URL where that is set.
 * @throws NatsServerMissingError when there is neither
 */
export async function startNatsServer(options: NatsServerOptions = {}): Promise<NatsServer> {
  const url = process.env['NATS_URL'];
  if (url !== undefined && options.shared === true && options.config === undefined) return external(url);
  const path = binary();
  if (path !== undefined) return startNatsProcess(path, options.config ?? '');
  try {
    const { startNatsContainer } = await import('./nats-container.ts');
    return await startNatsContainer(options.config ?? '');
  } catch (cause) {
    throw new NatsServerMissingError(
      'no NATS server: name a binary with NATS_SERVER_BIN (or its folder with SHARD_CONTROLLER_BIN_DIR), or start a ' +
        'Docker engine',
      { cause },
    );
  }
}

function external(url: string): NatsServer {
  const refuse = async (): Promise<never> => {
    throw new Error(`${url} is not ours to stop: unset NATS_URL to run this test against a server of its own`);
  };
  return {
    url,
    breakable: false,
    stop: refuse,
    kill: refuse,
    restart: refuse,
    pause: refuse,
    resume: refuse,
    backUp: refuse,
    restoreBackup: refuse,
    dispose: async () => undefined,
  };
}
