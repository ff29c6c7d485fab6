import type { ServerResponse } from 'node:http';
import type { Writable } from 'node:stream';
import { gzipInto } from '../http/index.ts';
import { drained } from './view-watch.ts';

/** As kube-apiserver: smaller answers are not worth packing. Bytes. */
const GZIP_FROM = 128 * 1024;

/** The body of a list: packed from a size on, when the client takes that. */
export class ListBody {
  readonly #response: ServerResponse;
  readonly #headers: Record<string, string>;
  readonly #takesGzip: boolean;
  #sink: Writable | undefined;
  #first: Buffer[] = [];
  #firstBytes = 0;

  constructor(response: ServerResponse, contentType: string, warning: string, zips: boolean) {
    this.#response = response;
    this.#headers = { 'content-type': contentType, ...(warning === '' ? {} : { warning }) };
    this.#takesGzip = zips;
  }

  async write(pieces: readonly Buffer[]): Promise<void> {
    if (pieces.length === 0) return;
    if (this.#sink !== undefined) return send(this.#sink, pieces);
    for (const piece of pieces) {
      this.#first.push(piece);
      this.#firstBytes += piece.length;
    }
    if (this.#firstBytes < GZIP_FROM) return;
    const gzip = this.#takesGzip ? { 'content-encoding': 'gzip', vary: 'Accept-Encoding' } : {};
    this.#response.writeHead(200, { ...this.#headers, ...gzip });
    this.#sink = this.#takesGzip ? gzipInto(this.#response) : this.#response;
    await send(this.#sink, this.#first);
    this.#first = [];
  }

  end(): void {
    if (this.#sink !== undefined) {
      this.#sink.end();
      return;
    }
    this.#response.writeHead(200, { ...this.#headers, 'content-length': this.#firstBytes });
    this.#response.end(Buffer.concat(this.#first));
  }

  /** Breaks the response off; false when nothing of it has been sent, so that a Status still can. */
  fail(): boolean {
    if (this.#sink === undefined) return false;
    this.#response.destroy();
    return true;
  }
}

async function send(sink: Writable, pieces: readonly Buffer[]): Promise<void> {
  if (!sink.destroyed && !sink.write(Buffer.concat(pieces))) await drained(sink);
}
