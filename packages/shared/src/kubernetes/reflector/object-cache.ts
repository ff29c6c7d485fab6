import { errorMessage } from '../../runtime/index.ts';
/** What a check of a raw object says. */
export type Parsed<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly problems: readonly string[] };

type Raw = Readonly<Record<string, unknown>>;

/** An object that did not pass its check. */
export interface Invalid {
  readonly raw: Raw;
  readonly problems: readonly string[];
}

/** A collection on its way in, page by page, so that raw objects need not be kept. */
export interface Staging<T> {
  /** Takes an object. An invalid one keeps the form it had before, if any. */
  add(raw: Raw): void;
  /** Makes what was added the whole collection. */
  commit(): { readonly items: readonly T[]; readonly invalid: readonly Invalid[] };
}

/** The last valid form of every object of a collection, by uid. */
export class ObjectCache<T> {
  readonly #parse: (raw: Raw) => Parsed<T>;
  #known = new Map<string, T>();

  constructor(parse: (raw: Raw) => Parsed<T>) {
    this.#parse = parse;
  }

  stage(): Staging<T> {
    const next = new Map<string, T>();
    const invalid: Invalid[] = [];
    return {
      add: (raw) => {
        const key = keyOf(raw);
        const outcome = this.#check(raw);
        if (!outcome.ok) invalid.push({ raw, problems: outcome.problems });
        const value = outcome.ok ? outcome.value : this.#known.get(key);
        if (value !== undefined) next.set(key, value);
      },
      commit: () => {
        this.#known = next;
        return { items: [...next.values()], invalid };
      },
    };
  }

  upsert(raw: Raw): Parsed<T> {
    const outcome = this.#check(raw);
    if (outcome.ok) this.#known.set(keyOf(raw), outcome.value);
    return outcome;
  }

  /** Forgets a deleted object and returns its last state; undefined when it never was valid. */
  remove(raw: Raw): T | undefined {
    const key = keyOf(raw);
    const before = this.#known.get(key);
    this.#known.delete(key);
    const outcome = this.#check(raw);
    return outcome.ok ? outcome.value : before;
  }

  #check(raw: Raw): Parsed<T> {
    try {
      return this.#parse(raw);
    } catch (error) {
      return {
        ok: false,
        problems: [`the check itself failed: ${errorMessage(error)}`],
      };
    }
  }
}

function keyOf(raw: Raw): string {
  const metadata = raw['metadata'];
  if (typeof metadata !== 'object' || metadata === null) return '';
  if ('uid' in metadata && typeof metadata.uid === 'string') return metadata.uid;
  const namespace = 'namespace' in metadata ? String(metadata.namespace) : '';
  return `${namespace}/${'name' in metadata ? String(metadata.name) : ''}`;
}
