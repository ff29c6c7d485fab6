import { MAX_KIND_NAME, type NamespaceScope } from '@shard-controller/shared/contracts';
import { fnv1a64, hashToBigInt } from '@shard-controller/shared/hashing';
import type { Selection } from '../upstream/index.ts';

/** All watches of the exporter that show the objects of one kind in one way. */
export interface ExportedKind<F> {
  /**
   * Equal on two workers that give their exporter the same, except for namespaces. The version is no part of it, since
   * objects are the same in all of them, unless the exporter reads several.
   */
  readonly name: string;
  readonly namespaces: NamespaceScope;
  readonly feeds: readonly F[];
}

const EVERYTHING: NamespaceScope = { except: true, names: [] };

/** The kinds of `feeds`, in the order of their names. */
export function exportedKinds<F extends { readonly selection: Selection }>(feeds: readonly F[]): ExportedKind<F>[] {
  const versions = new Map<string, Set<string>>();
  for (const { selection } of feeds) {
    const known = versions.get(nameOf(selection));
    if (known === undefined) versions.set(nameOf(selection), new Set([selection.version]));
    else known.add(selection.version);
  }
  const kinds = new Map<string, F[]>();
  for (const feed of feeds) {
    const name = nameOf(feed.selection);
    const full = (versions.get(name)?.size ?? 0) > 1 ? `${name}@${feed.selection.version}` : name;
    const bounded = shortName(full);
    const others = kinds.get(bounded);
    if (others === undefined) kinds.set(bounded, [feed]);
    else others.push(feed);
  }
  return [...kinds]
    .map(([name, of]) => ({ name, namespaces: union(of.map(({ selection }) => selection.namespaces)), feeds: of }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

const texts = new WeakMap<NamespaceScope, string>();

/** Text for a set of namespaces that is equal where the set is: '' for all of them, else 16 hex digits. */
export function scopeText(scope: NamespaceScope): string {
  const { except, names } = scope;
  if (except && names.length === 0) return '';
  const known = texts.get(scope);
  if (known !== undefined) return known;
  const text = hash16(`${except ? 'except' : 'only'} ${names.join(',')}`);
  texts.set(scope, text);
  return text;
}

/** Whether a watch of `scope` can show an object of `namespace`; objects without a namespace have '' here. */
export function holdsNamespace({ except, names }: NamespaceScope, namespace: string): boolean {
  return names.includes(namespace) !== except;
}

/** What at least one of them holds. */
function union(scopes: readonly NamespaceScope[]): NamespaceScope {
  const [single] = scopes;
  if (single !== undefined && scopes.length === 1) return single;
  const only = new Set(scopes.flatMap(({ except, names }) => (except ? [] : names)));
  const [first, ...others] = scopes.filter(({ except }) => except);
  if (first === undefined) return { except: false, names: sorted(only) };
  const excluded = first.names.filter((name) => !only.has(name) && others.every(({ names }) => names.includes(name)));
  return excluded.length === 0 ? EVERYTHING : { except: true, names: sorted(excluded) };
}

function nameOf({ resource, encoding, selector }: Selection): string {
  const how = encoding === '' ? '' : `/${encoding}`;
  return `${resource}${how}${selector === '' ? '' : `?${hash16(selector)}`}`;
}

/** The name itself where it is short and plain, else its beginning and a hash. */
function shortName(name: string): string {
  if (/^[!#-[\]-~]+$/.test(name) && name.length <= MAX_KIND_NAME) return name;
  return `${name.replaceAll(/[^0-9A-Za-z.-]/g, '_').slice(0, 80)}~${hash16(name)}`;
}

const sorted = (names: Iterable<string>): string[] => [...names].sort();
const hash16 = (text: string): string => hashToBigInt(fnv1a64(text)).toString(16).padStart(16, '0');
