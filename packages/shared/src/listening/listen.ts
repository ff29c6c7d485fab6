import type { Server } from 'node:net';

export interface ListenAt {
  /** 0 picks a free one. */
  readonly port: number;
  /** All addresses when absent. */
  readonly host?: string | undefined;
  /** What sets the port, for the error: an environment variable. */
  readonly variable: string;
}

export type ListenErrorCode =
  /** Another process has the port. @remedy free it, or set another one in the variable that the message names. */
  | 'SC_PORT_IN_USE'
  /** The port could not be opened. @remedy set the variable that the message names to a port that may be opened. */
  | 'SC_LISTEN';

/** A server of this process could not open its port. */
export class ListenError extends Error {
  override readonly name = 'ListenError';
  readonly code: ListenErrorCode;
  readonly port: number;

  constructor({ port, host, variable }: ListenAt, cause: unknown) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
    const address = `${host ?? '*'}:${port}`;
    super(messageOf(code, address, variable, cause), { cause });
    this.code = code === 'EADDRINUSE' ? 'SC_PORT_IN_USE' : 'SC_LISTEN';
    this.port = port;
  }
}

function messageOf(code: unknown, address: string, variable: string, cause: unknown): string {
  if (code === 'EADDRINUSE') {
    return `port ${address} is in use by another process: free it, or set ${variable} to another port`;
  }
  if (code === 'EACCES') {
    return `port ${address} may not be opened by this user: set ${variable} to a port above 1023`;
  }
  const reason = cause instanceof Error ? cause.message : String(cause);
  return `cannot listen on ${address}: ${reason}; set ${variable} to a usable port`;
}

/**
 * Resolves with the port once the server listens.
 *
 * @param onError called when something goes wrong later, such as too many open files; without a listener it would end the process.
 * @throws ListenError
 */
export async function listen(server: Server, at: ListenAt, onError: (error: Error) => void): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) => reject(new ListenError(at, cause)));
    server.listen(at.port, at.host, resolve);
  });
  server.removeAllListeners('error');
  server.on('error', onError);
  return portOf(server) ?? at.port;
}

/** The port that a server listens on; undefined while it does not. */
export function portOf(server: Pick<Server, 'address'>): number | undefined {
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : undefined;
}
