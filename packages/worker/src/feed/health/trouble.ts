import { errorMessage } from '@shard-controller/shared/runtime';
import { UnknownKindFailure, UpstreamFailure } from '../../upstream/index.ts';

/** A watch that lived for so long was no failed attempt. ms. */
export const STEADY_MS = 1_000;

/**
 * How a kind fails. `unknown`: this version of Kubernetes does not have it. `refused`: the API server knows the answer, and
 * it is no (a missing permission, no such kind). `failing`: it cannot answer (a conversion webhook that is gone). `slow`: no
 * answer, or one that says to come back later.
 */
export type TroubleNature = 'unknown' | 'refused' | 'failing' | 'slow';

/** Attempts that failed one after the other, none between them that got on. Monotonic ms. */
export interface Trouble {
  readonly problem: string;
  readonly nature: TroubleNature;
  /** The error behind `problem`. */
  readonly error: unknown;
  /** Since when nothing has got on. */
  readonly since: number;
  /** When the newest attempt failed. */
  readonly failedAt: number;
}

/**
 * The ways on which a feed reads the API server: its watch with all that opens and repairs it, its lists, and the question
 * where its collection stands.
 */
type Way = 'watch' | 'load' | 'question';

/** What keeps one feed from getting on, and since when: a success ends it, the mere acceptance of a request does not. */
export class FeedTrouble {
  readonly #troubles = new Map<Way, Trouble>();
  /** When the API server last accepted the watch that had been failing; it has yet to prove good. Monotonic ms. */
  #openedAt: number | undefined;
  /** When a list last brought something, though it may fail in the end; monotonic ms. */
  #gotOnAt = -Infinity;

  /** The text of what fails right now; undefined while nothing does. */
  get problem(): string | undefined {
    const watch = this.#openedAt === undefined ? this.#troubles.get('watch') : undefined;
    return (watch ?? this.#troubles.get('load'))?.problem;
  }

  /** @param startedAt when the attempt began, where it is known. */
  failed(way: Way, error: unknown, now: number, startedAt = now): void {
    const before = this.#troubles.get(way);
    const nature = natureOf(error);
    const isSteady = way === 'watch' && this.#openedAt !== undefined && now - this.#openedAt >= STEADY_MS;
    let since = before === undefined || isSteady ? startedAt : before.since;
    // A list that is merely slow has not stalled.
    if (way === 'load' && nature === 'slow') since = Math.max(since, this.#gotOnAt);
    if (way === 'watch') this.#openedAt = undefined;
    const problem = errorMessage(error);
    this.#troubles.set(way, { problem, nature, error, since, failedAt: now });
  }

  /**
   * A question has failed. Only a refusal says something of the kind: an open watch is not ended when its permission is taken
   * away, but no other one will be opened. What is late otherwise, the feed's own reads show.
   */
  refused(error: unknown, now: number): void {
    if (natureOf(error) === 'refused') this.failed('question', error, now);
  }

  /** Whether the newest attempt on this way has failed. */
  has(way: Way): boolean {
    return this.#troubles.has(way);
  }

  /** The API server has accepted the watch. */
  opened(now: number): void {
    if (this.#troubles.has('watch')) this.#openedAt = now;
  }

  /** A list has brought something. */
  gotOn(now: number): void {
    this.#gotOnAt = now;
  }

  worked(way: Way): void {
    this.#troubles.delete(way);
    if (way === 'watch') this.#openedAt = undefined;
  }

  /** Everything that fails, or did so until a moment ago. */
  at(now: number): readonly Trouble[] {
    if (this.#openedAt !== undefined && now - this.#openedAt >= STEADY_MS) this.worked('watch');
    return [...this.#troubles.values()];
  }
}

const REFUSED = new Set([401, 403, 404, 405, 406]);

function natureOf(error: unknown): TroubleNature {
  if (!(error instanceof UpstreamFailure)) return 'slow';
  if (error instanceof UnknownKindFailure) return 'unknown';
  if (REFUSED.has(error.status)) return 'refused';
  // While its cache of a kind cannot be filled, kube-apiserver says so by 429, with the reason at the end.
  if (error.isOfConversion) return 'failing';
  // 504: the API server, too, has waited in vain; and so it has where it passes on what etcd says, which all kinds share.
  const isOfServer = error.status === 504 || error.said.startsWith('etcdserver: ');
  return error.status >= 500 && !isOfServer ? 'failing' : 'slow';
}
