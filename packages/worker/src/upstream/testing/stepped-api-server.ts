import { PassThrough, Readable } from 'node:stream';
import type { StreamRequest, StreamResponse } from '@shard-controller/shared/kubernetes';
import { protobufBookmark, protobufFrame, protobufList, protobufObject } from '../../wire/testing/wire.ts';
import type { Upstream } from '../upstream.ts';
import { asPooled } from './pooled-answer.ts';

/** What happens to the cluster; the first change has resourceVersion `START + 1`. */
export interface Change {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  /** `<place>/<name>/<incarnation>`: the place decides the slot. */
  readonly uid: string;
}

/** resourceVersion before the first change. */
export const START = 100;
export const SLOTS = 4;
/** Each has the slot of its index; nothing is in the fourth. */
export const PLACES = ['kept', 'moved', 'other'] as const;

export const slotOfUid = (uid: string): number => PLACES.findIndex((place) => uid.startsWith(`${place}/`));
const nameOf = (uid: string): string => uid.split('/')[1] ?? '';

/** One thing that may come next. */
export interface Step {
  readonly act: () => void;
  toString(): string;
}

export function step(name: string, act: () => void): Step {
  return { act, toString: () => name };
}

interface Pending {
  readonly request: StreamRequest;
  readonly query: URLSearchParams;
  /** Changes that the answer has to know of at least. */
  readonly since: number;
  readonly answer: (response: StreamResponse) => void;
}

/**
 * An API server whose every answer and event is a step of its own, taken when the test says so, and as of any state that
 * an answer may be of. Until `begin` it answers at once.
 */
export class SteppedApiServer implements Upstream {
  readonly #objects: ReadonlyMap<string, number>;
  readonly #changes: readonly Change[];
  readonly #narrows: boolean;
  #stepped = false;
  /** Changes that the watch is past. */
  #told = 0;
  /** Changes that the watch or a consistent read was past: no later consistent read is older. */
  #known = 0;
  #watch: { readonly body: PassThrough; readonly wants: (uid: string) => boolean } | undefined;
  #pending: Pending[] = [];
  #lists: { readonly body: PassThrough; readonly parts: Buffer[] }[] = [];

  /**
   * @param objects resourceVersion by uid, before the first change.
   * @param narrows sends only what `shardSelector` asks for (KEP-5866).
   */
  constructor(objects: ReadonlyMap<string, number>, changes: readonly Change[], narrows: boolean) {
    this.#objects = objects;
    this.#changes = changes;
    this.#narrows = narrows;
  }

  begin(): void {
    this.#stepped = true;
  }

  /** resourceVersion by uid of what there is after `count` changes. */
  after(count: number): Map<string, number> {
    const objects = new Map(this.#objects);
    for (const [i, { type, uid }] of this.#changes.slice(0, count).entries()) {
      if (type === 'DELETED') objects.delete(uid);
      else objects.set(uid, START + i + 1);
    }
    return objects;
  }

  /** What may come next from here. */
  steps(): Step[] {
    const steps = this.events();
    for (const list of this.#lists) steps.push(step('the list continues', () => this.#part(list)));
    for (const pending of this.#pending) {
      const seen = new Set<string>();
      for (let count = pending.since; count <= this.#changes.length; count++) {
        const { what, make } = this.#answerTo(pending, count);
        if (seen.has(what)) continue;
        seen.add(what);
        steps.push(
          step(what, () => {
            this.#pending = this.#pending.filter((each) => each !== pending);
            if (!pending.query.has('resourceVersion')) this.#known = Math.max(this.#known, count);
            pending.answer(make());
          }),
        );
      }
    }
    return steps;
  }

  /** The next event of the watch, where one is open and has one. */
  events(): Step[] {
    const watch = this.#watch;
    const next = this.#changes.findIndex((change, i) => i >= this.#told && watch?.wants(change.uid) === true);
    const change = this.#changes[next];
    if (watch === undefined || change === undefined) return [];
    const { type, uid } = change;
    const bytes = protobufFrame(type, bodyOf(uid, START + next + 1));
    return [
      step(`watch: ${type} ${uid}`, () => {
        this.#told = next + 1;
        this.#known = Math.max(this.#known, this.#told);
        watch.body.write(bytes);
      }),
    ];
  }

  stream = asPooled((request) => this.#answer(request));

  async #answer(request: StreamRequest): Promise<StreamResponse> {
    const query = new URLSearchParams();
    for (const [key, value] of Object.entries(request.query ?? {})) query.set(key, String(value));
    const asked = query.get('resourceVersion');
    const since = asked === null ? this.#known : Number(asked) - START;
    const { promise, resolve } = Promise.withResolvers<StreamResponse>();
    const pending = { request, query, since, answer: resolve };
    request.signal?.addEventListener('abort', () => {
      this.#pending = this.#pending.filter((each) => each !== pending);
    });
    if (this.#stepped) this.#pending.push(pending);
    else resolve(this.#answerTo(pending, 0).make());
    return promise;
  }

  #answerTo({ request, query }: Pending, count: number): { what: string; make: () => StreamResponse } {
    const { path } = request;
    if (path === '/api/v1') return { what: 'discovery', make: discovery };
    const objects = this.after(count);
    if (path !== '/api/v1/pods') {
      const name = path.slice(path.lastIndexOf('/') + 1);
      const found = [...objects].find(([uid]) => nameOf(uid) === name);
      return {
        what: `GET ${name}: ${found?.join('@') ?? '404'}`,
        make: () => (found === undefined ? absent() : object(...found)),
      };
    }
    const wants = this.#wanted(query);
    const items = [...objects].filter(([uid]) => wants(uid));
    if (query.get('sendInitialEvents') === 'true') {
      return { what: `list as of ${START + count}`, make: () => this.#listStream(items, count) };
    }
    if (query.get('watch') === 'true') return { what: 'the watch opens', make: () => this.#open(query, wants) };
    return { what: `position ${START + count}`, make: () => page(items, count, query) };
  }

  #wanted(query: URLSearchParams): (uid: string) => boolean {
    const selector = query.get('shardSelector');
    if (selector === null || !this.#narrows) return () => true;
    const ranges = Array.from(selector.matchAll(RANGE), ([, from, to]) => [BigInt(`0x${from}`), BigInt(`0x${to}`)]);
    return (uid) => {
      const hash = (BigInt(slotOfUid(uid)) << 64n) / BigInt(SLOTS);
      return ranges.some(([from = 0n, to = 0n]) => from <= hash && hash < to);
    };
  }

  #open(query: URLSearchParams, wants: (uid: string) => boolean): StreamResponse {
    const body = new PassThrough();
    const watch = { body, wants };
    this.#watch = watch;
    this.#told = Number(query.get('resourceVersion')) - START;
    body.on('close', () => {
      if (this.#watch === watch) this.#watch = undefined;
    });
    return { status: 200, headers: STREAM, body };
  }

  #listStream(items: readonly (readonly [string, number])[], count: number): StreamResponse {
    const frames = items.map(([uid, version]) => protobufFrame('ADDED', bodyOf(uid, version)));
    const end = protobufBookmark(String(START + count), true);
    const list = { body: new PassThrough(), parts: frames.length > 0 ? [Buffer.concat(frames), end] : [end] };
    this.#lists.push(list);
    list.body.on('close', () => {
      this.#lists = this.#lists.filter((each) => each !== list);
    });
    if (this.#stepped) this.#part(list);
    else while (list.parts.length > 0) this.#part(list);
    return { status: 200, headers: STREAM, body: list.body };
  }

  #part(list: { readonly body: PassThrough; readonly parts: Buffer[] }): void {
    const part = list.parts.shift();
    if (part !== undefined) list.body.write(part);
    if (list.parts.length === 0) {
      list.body.end();
      this.#lists = this.#lists.filter((each) => each !== list);
    }
  }
}

const PROTOBUF = { 'content-type': 'application/vnd.kubernetes.protobuf' };
const STREAM = { 'content-type': 'application/vnd.kubernetes.protobuf;stream=watch' };
const RANGE = /'0x([0-9a-f]+)', '0x([0-9a-f]+)'/g;

function bodyOf(uid: string, version: number): Buffer {
  return protobufObject({ uid, name: nameOf(uid), namespace: 'ns', version: String(version) });
}

function discovery(): StreamResponse {
  const text = JSON.stringify({ resources: [{ name: 'pods', kind: 'Pod', verbs: ['get', 'list', 'watch'] }] });
  return { status: 200, headers: { 'content-type': 'application/json' }, body: Readable.from([Buffer.from(text)]) };
}

function absent(): StreamResponse {
  return { status: 404, headers: { 'content-type': 'application/json' }, body: Readable.from([Buffer.from('{}')]) };
}

function object(uid: string, version: number): StreamResponse {
  const frame = protobufFrame('ADDED', bodyOf(uid, version));
  return { status: 200, headers: PROTOBUF, body: Readable.from([frame.subarray(frame.indexOf('k8s\0'))]) };
}

function page(items: readonly (readonly [string, number])[], count: number, query: URLSearchParams): StreamResponse {
  const limit = Number(query.get('limit'));
  const bodies = items.slice(0, limit).map(([uid, version]) => bodyOf(uid, version));
  const body = protobufList(String(START + count), bodies, Math.max(0, items.length - limit));
  return { status: 200, headers: PROTOBUF, body: Readable.from([body]) };
}
