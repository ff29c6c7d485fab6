import { rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { sharedFolder } from './inside.ts';
import { CONTROL_SOCKET, parseListenAnswer } from './port-protocol.ts';

/** An address of the namespace, reachable from the user's own shell. */
export interface OutsidePort {
  /** On the user's 127.0.0.1. */
  readonly port: number;
  close(): Promise<void>;
}

/** The launcher did not open the port. */
class OutsidePortError extends Error {
  readonly code = 'SC_OUTSIDE_PORT';

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'OutsidePortError';
  }
}

let socketNumber = 0;

/**
 * Makes `host:port` of the namespace reachable on the user's 127.0.0.1, until `close()` or the end of this process.
 *
 * @param target where connections go, inside; asked again for each connection, so it may change
 * @throws OutsidePortError
 */
export async function exposeOutside(
  target: () => { host: string; port: number },
  wanted: { readonly port?: number } = {},
): Promise<OutsidePort> {
  const folder = sharedFolder();
  socketNumber += 1;
  // Socket paths end at 107 bytes, so the name is short; files survive crashes, so it is removed first.
  const path = join(folder, `p${process.pid}-${socketNumber}`);
  rmSync(path, { force: true });
  const sockets = new Set<Socket>();
  const track = (socket: Socket): Socket => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    return socket.on('close', () => sockets.delete(socket));
  };
  const server = createServer({ allowHalfOpen: true }, (outer) => {
    track(outer);
    const inner = track(connect({ ...target(), allowHalfOpen: true }));
    inner.on('close', () => outer.destroy());
    outer.on('close', () => inner.destroy());
    outer.pipe(inner);
    inner.pipe(outer);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, resolve);
  });
  const control = connect(join(folder, CONTROL_SOCKET));
  const close = async (): Promise<void> => {
    control.destroy();
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  };
  try {
    const port = await ask(control, JSON.stringify({ socket: path, ...wanted }));
    // Neither may keep a process alive that has nothing else to do.
    control.unref();
    server.unref();
    return { port, close };
  } catch (error) {
    await close();
    throw error;
  }
}

function ask(control: Socket, request: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const fail = (reason: string, cause?: unknown): void =>
      reject(new OutsidePortError(`No port for the outside: ${reason}. Is the launcher still running?`, { cause }));
    control.on('error', (error) => fail(error.message, error));
    control.on('close', () => fail('the launcher closed the control socket'));
    createInterface({ input: control }).once('line', (line) => {
      const answer = parseListenAnswer(line);
      if (answer === undefined) return fail(`unreadable answer ${line.slice(0, 200)}`);
      if ('error' in answer) return fail(answer.error);
      resolve(answer.port);
    });
    control.write(`${request}\n`);
  });
}
