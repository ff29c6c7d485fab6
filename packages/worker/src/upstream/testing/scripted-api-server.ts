import { PassThrough, Readable } from 'node:stream';
import { fnv1a64, hashToBigInt } from '@shard-controller/shared/hashing';
import type { StreamRequest, StreamResponse } from '@shard-controller/shared/kubernetes';
import { protobufBookmark, protobufFrame, protobufList, protobufObject } from '../../wire/testing/wire.ts';
import type { Upstream } from '../upstream.ts';
import { asPooled } from './pooled-answer.ts';

interface Change {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly uid: string;
  readonly version: number;
}

type Wanted = (uid: string) => boolean;

type Answer = (request: StreamRequest, query: URLSearchParams) => StreamResponse | undefined;

const PROTOBUF = { 'content-type': 'application/vnd.kubernetes.protobuf' };
const WATCH = { 'content-type': 'application/vnd.kubernetes.protobuf;stream=watch' };

/** An API server with one collection, `/api/v1/pods`, that does what a test tells it to. Objects are named by their uid, up to a `#`. */
export class ScriptedApiServer implements Upstream {
  /** resourceVersion by uid. */
  readonly objects = new Map<string, number>();
  /** Query of each request of the collection, and the path of each other one. */
  readonly requests: string[] = [];
  version = 100;
  /** Watches from before this version are answered 410. */
  oldest = 0;
  /** Objects that a selector leaves out, by uid: single reads find them, lists and watches do not. */
  readonly outside = new Map<string, number>();
  /** Where an expired watch is refused: in the answer, or, as kube-apiserver does, by an event of an accepted watch. */
  refusesExpired: 'in the answer' | 'in the stream' = 'in the answer';
  /** Sends only what `shardSelector` asks for (KEP-5866); else the parameter is ignored. */
  narrows = false;
  #history: Change[] = [];
  #held: Change[] | undefined;
  /** Watches are answered once this has come about. */
  opening: Promise<void> = Promise.resolve();
  #watches = new Map<PassThrough, (change: Change) => boolean>();
  #answers: Answer[] = [];

  /** Answers the next request for which `answer` gives something. */
  next(answer: Answer): void {
    this.#answers.push(answer);
  }

  /** Answers the next plain watch with a failure. */
  failNextWatch(code: number, reason = 'Failure', headers: Record<string, string> = {}): void {
    this.next((_, query) => (isPlainWatch(query) ? status(code, reason, headers) : undefined));
  }

  change(type: Change['type'], uid: string): void {
    this.version++;
    if (type === 'DELETED') this.objects.delete(uid);
    else this.objects.set(uid, this.version);
    this.outside.delete(uid);
    const change = { type, uid, version: this.version };
    this.#history.push(change);
    if (this.#held === undefined) this.#tell(change);
    else this.#held.push(change);
  }

  /** An object no longer matches the selector, and is changed on: its watch sees a deletion. */
  leave(uid: string): void {
    this.change('DELETED', uid);
    this.outside.set(uid, this.version);
  }

  /** Changes an object that the selector leaves out; no watch sees it. */
  changeOutside(uid: string): void {
    this.outside.set(uid, ++this.version);
  }

  #tell(change: Change): void {
    for (const [watch, wants] of this.#watches) if (wants(change)) watch.write(frameOf(change));
  }

  /** Keeps changes from the watches until they are released, as a watch cache that is behind does. */
  hold(): { release(): void } {
    this.#held ??= [];
    return {
      release: () => {
        const held = this.#held ?? [];
        this.#held = undefined;
        for (const change of held) this.#tell(change);
      },
    };
  }

  /** Open watches bring nothing from now on, and do not end, as those of one API server of several that has frozen. */
  freeze(): void {
    this.#watches.clear();
  }

  /** Ends all open watches, in order or with an error. */
  cut(error?: Error): void {
    const watches = [...this.#watches.keys()];
    this.#watches.clear();
    for (const watch of watches) {
      if (error === undefined) watch.end();
      else watch.destroy(error);
    }
  }

  /** Writes bytes of the test's own into all open watches. */
  say(bytes: Buffer): void {
    for (const watch of this.#watches.keys()) watch.write(bytes);
  }

  /** Forgets everything before now, as a restarted watch cache does. */
  forget(): void {
    this.oldest = this.version;
    this.#history = [];
  }

  /** Keeps what there is; the returned function puts it back, as the restore of an etcd backup with a new API server does. */
  backup(): () => void {
    const { version } = this;
    const objects = [...this.objects];
    const outside = [...this.outside];
    return () => {
      this.cut(new Error('ECONNRESET'));
      this.version = version;
      this.objects.clear();
      for (const [uid, at] of objects) this.objects.set(uid, at);
      this.outside.clear();
      for (const [uid, at] of outside) this.outside.set(uid, at);
      this.#held &&= [];
      this.forget();
    };
  }

  get watches(): number {
    return this.#watches.size;
  }

  stream = asPooled((request) => this.#answer(request));

  async #answer(request: StreamRequest): Promise<StreamResponse> {
    await Promise.resolve();
    const query = new URLSearchParams();
    for (const [key, value] of Object.entries(request.query ?? {})) query.set(key, String(value));
    this.requests.push(request.path === '/api/v1/pods' ? decodeURIComponent(query.toString()) : request.path);
    if (isPlainWatch(query)) await this.opening;
    for (const [i, answer] of this.#answers.entries()) {
      const given = answer(request, query);
      if (given === undefined) continue;
      this.#answers.splice(i, 1);
      return given;
    }
    if (request.path === '/api/v1')
      return json({ resources: [{ name: 'pods', kind: 'Pod', verbs: ['get', 'list', 'watch'] }] });
    if (request.path.startsWith('/api/v1/namespaces/ns/pods/')) return this.#object(request.path.slice(27));
    if (request.path !== '/api/v1/pods') return status(404, 'NotFound');
    if (query.get('watch') !== 'true') return this.#list(query);
    return query.get('sendInitialEvents') === 'true' ? this.#watchList(query) : this.#watch(query);
  }

  #wanted(query: URLSearchParams): Wanted {
    const selector = query.get('shardSelector');
    if (selector === null || !this.narrows) return () => true;
    const ranges = Array.from(selector.matchAll(RANGE), ([, from, to]) => [BigInt(`0x${from}`), BigInt(`0x${to}`)]);
    return (uid) => {
      const hash = hashToBigInt(fnv1a64(uid));
      return ranges.some(([from = 0n, to = 0n]) => from <= hash && hash < to);
    };
  }

  #object(name: string): StreamResponse {
    const found = [...this.objects, ...this.outside].find(([uid]) => nameOf(uid) === name);
    if (found === undefined) return status(404, 'NotFound');
    const frame = protobufFrame('ADDED', bodyOf(...found));
    return { status: 200, headers: PROTOBUF, body: Readable.from([frame.subarray(frame.indexOf('k8s\0'))]) };
  }

  #list(query: URLSearchParams): StreamResponse {
    const limit = Number(query.get('limit') ?? Number.MAX_SAFE_INTEGER);
    const wants = this.#wanted(query);
    const items = [...this.objects].filter(([uid]) => wants(uid)).map(([uid, version]) => bodyOf(uid, version));
    const body = protobufList(String(this.version), items.slice(0, limit), Math.max(0, items.length - limit));
    return { status: 200, headers: PROTOBUF, body: Readable.from([body]) };
  }

  #watchList(query: URLSearchParams): StreamResponse {
    const wants = this.#wanted(query);
    const objects = [...this.objects].filter(([uid]) => wants(uid));
    const frames = objects.map(([uid, version]) => frameOf({ type: 'ADDED', uid, version }));
    const body = Readable.from([...frames, protobufBookmark(String(this.version), true)]);
    return { status: 200, headers: WATCH, body };
  }

  #watch(query: URLSearchParams): StreamResponse {
    const from = Number(query.get('resourceVersion'));
    if (from < this.oldest) {
      if (this.refusesExpired === 'in the answer') return status(410, 'Expired');
      return { status: 200, headers: WATCH, body: Readable.from([expiredFrame()]) };
    }
    const body = new PassThrough();
    const isWanted = this.#wanted(query);
    const wants = ({ version, uid }: Change): boolean => version > from && isWanted(uid);
    for (const change of this.#history) {
      if (wants(change) && this.#held?.includes(change) !== true) body.write(frameOf(change));
    }
    this.#watches.set(body, wants);
    body.on('close', () => this.#watches.delete(body));
    return { status: 200, headers: WATCH, body };
  }
}

const RANGE = /'0x([0-9a-f]+)', '0x([0-9a-f]+)'/g;

function isPlainWatch(query: URLSearchParams): boolean {
  return query.get('watch') === 'true' && query.get('sendInitialEvents') !== 'true';
}

const nameOf = (uid: string): string => uid.replace(/#.*/, '');

function bodyOf(uid: string, version: number): Buffer {
  return protobufObject({ uid, name: nameOf(uid), namespace: 'ns', version: String(version) });
}

function frameOf({ type, uid, version }: Change): Buffer {
  return protobufFrame(type, bodyOf(uid, version));
}

/** The Status of `410 Expired` as an event of a watch: reason and code. */
function expiredFrame(): Buffer {
  return protobufFrame(
    'ERROR',
    Buffer.concat([Buffer.from([0x22, 0x07]), Buffer.from('Expired'), Buffer.from([0x30, 0x9a, 0x03])]),
  );
}

function json(value: unknown): StreamResponse {
  return {
    status: 200,
    headers: { 'content-type': 'application/json' },
    body: Readable.from([Buffer.from(JSON.stringify(value))]),
  };
}

export function status(code: number, reason: string, headers: Record<string, string> = {}): StreamResponse {
  const text = JSON.stringify({ kind: 'Status', code, reason, message: `${reason} by script` });
  return {
    status: code,
    headers: { 'content-type': 'application/json', ...headers },
    body: Readable.from([Buffer.from(text)]),
  };
}
