import { Readable } from 'node:stream';
import type { StreamRequest, StreamResponse } from '@shard-controller/shared/kubernetes';
import type { Upstream } from '../upstream.ts';
import { asPooled } from './pooled-answer.ts';
import { status } from './scripted-api-server.ts';

/** What a request is for, as the feed makes them. */
type ReadKind = 'watch' | 'watchList' | 'list' | 'object';

/** What happens to the next request of a kind. */
export interface Trouble {
  readonly on: ReadKind;
  readonly does:
    | { readonly what: 'refuse'; readonly code: number; readonly reason: string }
    /** The answer is made at once, and arrives so many turns later. */
    | { readonly what: 'delay'; readonly turns: number }
    /** Each part of the answer comes so many turns after the one before. */
    | { readonly what: 'trickle'; readonly turns: number }
    /** The answer breaks off after so many parts; a single part is halved. */
    | { readonly what: 'break'; readonly parts: number };
}

/** One turn of the event loop: what was written has been read. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

export async function turns(count: number, signal?: AbortSignal): Promise<void> {
  for (let i = 0; i < count; i++) {
    if (signal?.aborted === true) return;
    await turn();
  }
}

/** Stands before an API server and makes trouble, each as often as it was asked for. */
export class TroubledUpstream implements Upstream {
  readonly #upstream: Upstream;
  #troubles: Trouble[] = [];

  constructor(upstream: Upstream) {
    this.#upstream = upstream;
  }

  add(trouble: Trouble): void {
    this.#troubles.push(trouble);
  }

  clear(): void {
    this.#troubles = [];
  }

  stream = asPooled((request) => this.#answer(request));

  async #answer(request: StreamRequest): Promise<StreamResponse> {
    const kind = kindOf(request);
    const at = this.#troubles.findIndex(({ on }) => on === kind);
    const [trouble] = at < 0 ? [] : this.#troubles.splice(at, 1);
    if (trouble?.does.what === 'refuse') return status(trouble.does.code, trouble.does.reason);
    const response = await this.#upstream.stream(request);
    if (trouble?.does.what === 'delay') await turns(trouble.does.turns, request.signal);
    const isEndless = kind === 'watch';
    if (trouble === undefined || trouble.does.what === 'delay' || isEndless) return response;
    return { ...response, body: Readable.from(troubled(response.body, trouble.does)) };
  }
}

async function* troubled(
  body: AsyncIterable<Buffer>,
  does: Extract<Trouble['does'], { what: 'trickle' | 'break' }>,
): AsyncGenerator<Buffer> {
  let parts = 0;
  for await (const part of body) {
    if (does.what === 'trickle') await turns(does.turns);
    else if (parts === does.parts) {
      yield part.subarray(0, part.length >> 1);
      throw new Error('ECONNRESET');
    }
    parts++;
    yield part;
  }
}

function kindOf({ path, query }: StreamRequest): ReadKind {
  if (path.startsWith('/api/v1/namespaces/')) return 'object';
  const asked = new Map(Object.entries(query ?? {}));
  if (asked.get('watch') !== 'true') return 'list';
  return asked.get('sendInitialEvents') === 'true' ? 'watchList' : 'watch';
}
