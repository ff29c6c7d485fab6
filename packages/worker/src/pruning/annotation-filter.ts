/** A key, or a pattern with one `*`, in UTF-8. */
interface KeyPattern {
  readonly prefix: Buffer;
  /** What follows the `*`; undefined in a plain key. */
  readonly suffix: Buffer | undefined;
}

/** Says by the bytes of its key whether an annotation stays. */
export class AnnotationFilter {
  readonly #patterns: readonly KeyPattern[];

  /** Keys, and patterns with one `*` as kube-state-metrics has them; what has more is ignored there, and here. */
  constructor(keys: Iterable<string>) {
    this.#patterns = [...new Set(keys)].flatMap((key) => {
      const [prefix = '', suffix, ...more] = key.split('*');
      if (more.length > 0) return [];
      return [{ prefix: Buffer.from(prefix), suffix: suffix === undefined ? undefined : Buffer.from(suffix) }];
    });
  }

  get keepsNone(): boolean {
    return this.#patterns.length === 0;
  }

  keeps(bytes: Uint8Array, start: number, end: number): boolean {
    for (const { prefix, suffix } of this.#patterns) {
      if (suffix === undefined) {
        if (end - start === prefix.length && hasAt(bytes, start, prefix)) return true;
      } else if (
        end - start >= prefix.length + suffix.length &&
        hasAt(bytes, start, prefix) &&
        hasAt(bytes, end - suffix.length, suffix)
      ) {
        return true;
      }
    }
    return false;
  }
}

function hasAt(bytes: Uint8Array, at: number, part: Buffer): boolean {
  for (let i = 0; i < part.length; i++) if (bytes[at + i] !== part[i]) return false;
  return true;
}
