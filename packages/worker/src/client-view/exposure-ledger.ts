import type { ResourceVersion } from '@shard-controller/shared/kubernetes';
import type { Exposure } from '../slots/index.ts';
import { isNewer, isWellFormedVersion } from '../wire/index.ts';

/** From a position on, everything that was answered was answered under this exposure. */
interface Mark {
  readonly version: ResourceVersion;
  readonly exposure: Exposure;
}

interface Collection {
  /** Oldest first. */
  marks: Mark[];
  /** Whether what was given out at the first mark's own version was given out under it. */
  startsAtFirst: boolean;
  /** Older positions that were given out since, from caches that were behind: by version. */
  readonly given: Map<string, Exposure>;
  turn: Promise<void>;
}

/** Exposures of one collection that are told apart; clients from before have to list again. */
const MAX_MARKS = 16;
const MAX_GIVEN = 64;
const MAX_COLLECTIONS = 256;

/**
 * What a client that comes with a resourceVersion has been shown: its slots may have changed since it listed. Kept per
 * collection as positions of consistent reads that were made after each change. When in doubt an older exposure is
 * named: what changed since is then said twice, which a client's store does not mind, but never left out.
 */
export class ExposureLedger {
  readonly #collections = new Map<string, Collection>();

  /** Notes where `exposure` began, if that is new; `position` reads the collection's present resourceVersion. */
  async enter(path: string, exposure: () => Exposure, position: () => Promise<string>): Promise<void> {
    const collection = this.#collection(path);
    const work = collection.turn.then(async () => {
      const now = exposure();
      if (collection.marks.at(-1)?.exposure === now) return;
      collection.marks.push({ version: await position(), exposure: now });
      if (collection.marks.length <= MAX_MARKS) return;
      collection.marks.shift();
      collection.startsAtFirst = false;
    });
    collection.turn = work.catch(() => undefined);
    await work;
  }

  /** A list was answered with this position; it matters when a cache was behind the first mark. */
  give(path: string, version: ResourceVersion, exposure: Exposure): void {
    const collection = this.#collection(path);
    if (this.heldAt(path, version) !== undefined) return;
    collection.given.set(version, exposure);
    const [oldest] = collection.given.keys();
    if (collection.given.size > MAX_GIVEN && oldest !== undefined) collection.given.delete(oldest);
  }

  /** What a client at this position was shown; undefined when that is not known. */
  heldAt(path: string, version: ResourceVersion): Exposure | undefined {
    const { marks, given, startsAtFirst } = this.#collection(path);
    const [first] = marks;
    if (first === undefined) return undefined;
    // A server without an order of versions: only an exposure that never changed is known.
    if (!isWellFormedVersion(version) || !isWellFormedVersion(first.version)) {
      return marks.length === 1 ? first.exposure : undefined;
    }
    const mark = marks.findLast((each) => isNewer(version, each.version));
    if (mark !== undefined) return mark.exposure;
    return startsAtFirst && version === first.version ? first.exposure : given.get(version);
  }

  /** A client may hold a part of two exposures: a client that comes with a position from before now lists again. */
  forget(path: string): void {
    const collection = this.#collection(path);
    collection.marks = [];
    collection.startsAtFirst = true;
    collection.given.clear();
  }

  forgetAll(): void {
    this.#collections.clear();
  }

  #collection(path: string): Collection {
    const known = this.#collections.get(path);
    if (known !== undefined) {
      // The least recently used goes first.
      this.#collections.delete(path);
      this.#collections.set(path, known);
      return known;
    }
    const collection: Collection = { marks: [], startsAtFirst: true, given: new Map(), turn: Promise.resolve() };
    this.#collections.set(path, collection);
    const [oldest] = this.#collections.keys();
    if (this.#collections.size > MAX_COLLECTIONS && oldest !== undefined) this.#collections.delete(oldest);
    return collection;
  }
}
