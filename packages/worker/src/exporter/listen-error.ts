/** A server of the worker could not listen. */
export class ListenError extends Error {
  override readonly name = 'ListenError';
  readonly code = 'SC_LISTEN';
  readonly port: number;

  /**
   * @param what the server, for people.
   * @param variable environment variable that sets the port.
   */
  constructor(what: string, port: number, variable: string, cause: unknown) {
    super(listenMessage(what, port, variable, cause), { cause });
    this.port = port;
  }
}

function listenMessage(what: string, port: number, variable: string, cause: unknown): string {
  const code = typeof cause === 'object' && cause !== null && 'code' in cause ? String(cause.code) : String(cause);
  if (code === 'EADDRINUSE') {
    return `port ${port} of the ${what} is in use by another process: end that process or set ${variable} to a free port`;
  }
  if (code === 'EACCES') {
    return `port ${port} of the ${what} may not be opened by this user: set ${variable} to a port above 1023`;
  }
  return `the ${what} cannot listen on port ${port} (${code}): set ${variable} to another port`;
}
