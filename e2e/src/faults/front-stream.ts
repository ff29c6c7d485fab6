import type { IncomingMessage, ServerResponse } from 'node:http';
import { type Encoding, splitFrames } from './watch-frames.ts';

/** Bytes that go out at a time, and the pause between them, while a stream trickles. */
const TRICKLE = { bytes: 512, everyMs: 4 };

/** The body of one answer on its way through the front, in order whatever is done to it. */
export class FrontStream {
  readonly verb: string;
  readonly path: string;
  /** Set for watches, whose frames can be told apart. */
  readonly encoding: Encoding | undefined;
  readonly #source: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #onEnd: () => void;
  readonly #reset: () => void;
  #frames: (frame: Buffer) => readonly Buffer[];
  #rest: Buffer = Buffer.alloc(0);
  #waiting: Buffer[] = [];
  #ending = false;
  #held = false;
  #trickling = false;
  #timer: NodeJS.Timeout | undefined;
  #over = false;

  constructor(options: {
    readonly verb: string;
    readonly path: string;
    readonly source: IncomingMessage;
    readonly response: ServerResponse;
    /** Sends a reset on the connection. */
    readonly reset: () => void;
    readonly frames: (frame: Buffer, stream: FrontStream) => readonly Buffer[];
    readonly onEnd: (stream: FrontStream) => void;
  }) {
    const { verb, path, source, response } = options;
    this.verb = verb;
    this.path = path;
    this.#source = source;
    this.#response = response;
    this.#frames = (frame) => options.frames(frame, this);
    this.#reset = options.reset;
    this.#onEnd = () => options.onEnd(this);
    const type = String(source.headers['content-type']);
    const isPlain = source.headers['content-encoding'] === undefined;
    const isWatch = (verb === 'watch' || verb === 'watchList') && source.statusCode === 200 && isPlain;
    if (isWatch) this.encoding = type.includes('protobuf') ? 'protobuf' : 'json';
    source.on('data', (chunk: Buffer) => this.#take(chunk));
    source.on('end', () => {
      this.#ending = true;
      this.#pump();
    });
    source.on('error', () => this.reset());
    source.on('close', () => {
      if (!source.complete) this.reset();
    });
    response.on('drain', () => this.#pump());
    response.on('error', () => this.#finish());
    response.on('close', () => this.#finish());
  }

  get over(): boolean {
    return this.#over;
  }

  /** Puts bytes behind what was delivered so far, between two frames. */
  insert(bytes: Buffer): void {
    this.#waiting.push(bytes);
    this.#pump();
  }

  /** Breaks the connection: the client sees a reset. */
  reset(): void {
    if (this.#over) return;
    this.#reset();
    this.#finish();
  }

  /** Ends the answer in order, after `last`. */
  end(last?: Buffer): void {
    if (this.#over) return;
    this.#response.end(last);
    this.#finish();
  }

  /** Nothing more is delivered, and the connection lives, until `release`. */
  hold(): void {
    this.#held = true;
  }

  release(): void {
    this.#held = false;
    this.#pump();
  }

  trickle(on: boolean): void {
    this.#trickling = on;
    this.#pump();
  }

  #take(chunk: Buffer): void {
    if (this.#over) return;
    if (this.encoding === undefined) this.#waiting.push(chunk);
    else {
      const { frames, rest } = splitFrames(Buffer.concat([this.#rest, chunk]), this.encoding);
      this.#rest = rest;
      for (const frame of frames) {
        if (this.#over) return;
        this.#waiting.push(...this.#frames(frame));
      }
    }
    this.#pump();
  }

  #pump(): void {
    if (this.#over || this.#held || this.#timer !== undefined) return;
    if (this.#trickling && this.#waiting.length > 0) {
      const bytes = Buffer.concat(this.#waiting);
      this.#waiting = bytes.length > TRICKLE.bytes ? [bytes.subarray(TRICKLE.bytes)] : [];
      this.#response.write(bytes.subarray(0, TRICKLE.bytes));
      this.#timer = setTimeout(() => {
        this.#timer = undefined;
        this.#pump();
      }, TRICKLE.everyMs);
      return;
    }
    let room = !this.#response.writableNeedDrain;
    while (room) {
      const bytes = this.#waiting.shift();
      if (bytes === undefined) break;
      room = this.#response.write(bytes);
    }
    if (this.#waiting.length > 0) this.#source.pause();
    else if (this.#ending) this.end();
    else this.#source.resume();
  }

  #finish(): void {
    if (this.#over) return;
    this.#over = true;
    clearTimeout(this.#timer);
    this.#waiting = [];
    this.#source.destroy();
    this.#onEnd();
  }
}
