import { Agent, get, type IncomingMessage } from 'node:http';

/** The exporter's end: keeps one watch of all pods open as client-go does, counts what comes and drops it. */
export class Sink {
  /** Events of objects. */
  frames = 0;
  bytes = 0;
  /** Times that the worker ended the watch for an acknowledgement. */
  acknowledgements = 0;
  /** resourceVersion of the newest event. */
  version = '';
  readonly #port: number;
  readonly #agent = new Agent({ keepAlive: true });
  #response: IncomingMessage | undefined;
  #rest: Buffer = Buffer.alloc(0);
  #closed = false;
  #paused = false;

  constructor(proxyPort: number) {
    this.#port = proxyPort;
  }

  open(): void {
    if (this.#closed) return;
    const first = 'sendInitialEvents=true&resourceVersionMatch=NotOlderThan';
    const query = this.version === '' ? first : `resourceVersion=${this.version}`;
    const request = get(
      {
        host: '127.0.0.1',
        port: this.#port,
        path: `/api/v1/pods?watch=true&allowWatchBookmarks=true&${query}`,
        headers: { accept: 'application/vnd.kubernetes.protobuf,application/json' },
        agent: this.#agent,
      },
      (response) => {
        this.#response = response;
        response.on('data', (chunk: Buffer) => this.#take(chunk));
        response.on('error', () => undefined);
        if (this.#paused) response.pause();
        response.on('end', () => {
          this.acknowledgements++;
          this.open();
        });
      },
    );
    request.on('error', () => setTimeout(() => this.open(), 100));
  }

  /** Stops reading, as an exporter that hangs. */
  pause(): void {
    this.#paused = true;
    this.#response?.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#response?.resume();
  }

  close(): void {
    this.#closed = true;
    this.#agent.destroy();
  }

  #take(chunk: Buffer): void {
    this.bytes += chunk.length;
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    let last: Buffer | undefined;
    while (bytes.length - at >= 4) {
      const end = at + 4 + bytes.readUInt32BE(at);
      if (end > bytes.length) break;
      last = bytes.subarray(at, end);
      if (last.indexOf('BOOKMARK') < 0) this.frames++;
      at = end;
    }
    this.#rest = bytes.subarray(at);
    // All resourceVersions of this load have ten digits and stand before the ballast.
    const version = last === undefined ? undefined : /(?<!\d)(\d{10})(?!\d)/.exec(last.toString('latin1', 0, 300))?.[1];
    if (version !== undefined) this.version = version;
  }
}
