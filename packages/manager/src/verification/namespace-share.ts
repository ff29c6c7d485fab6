import type { NamespaceScope } from '@shard-controller/shared/contracts';

/**
 * How a side that exports `own` namespaces of a kind is asked for the objects that `other` exports, too: those of
 * `names`, or all of its own but those of `names`. Undefined when there are none.
 */
export interface NamespaceShare {
  readonly but: boolean;
  readonly names: readonly string[];
}

/** The shorter way to ask for what both export. */
export function shareOf(own: NamespaceScope, other: NamespaceScope): NamespaceShare | undefined {
  const others = new Set(other.names);
  if (own.except) {
    const mine = new Set(own.names);
    const differs = other.names.filter((name) => !mine.has(name));
    // The other one leaves out more, or has nothing but these.
    if (other.except) return { but: true, names: differs };
    return differs.length === 0 ? undefined : { but: false, names: differs };
  }
  const common = own.names.filter((name) => others.has(name) !== other.except);
  if (common.length === 0) return undefined;
  const missing = own.names.filter((name) => others.has(name) === other.except);
  return missing.length < common.length ? { but: true, names: missing } : { but: false, names: common };
}
