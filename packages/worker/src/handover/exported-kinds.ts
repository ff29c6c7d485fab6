import { MAX_KIND_NAME, type NamespaceScope } from '@shard-controller/shared/contracts';
import { fnv1a64, hashToBigInt } from '@shard-controller/shared/hashing';

/** What a watch of the exporter selects, as far as two workers can compare it. */
export interface Selection {
  /** Resource and group: `pods`, `widgets.example.com`. */
  readonly resource: string;
  readonly version: string;
  /** '' for the usual encoding of the resource; a resource may be read in two. */
  readonly encoding: string;
  readonly namespaces: NamespaceScope;
  /** What narrows it beyond a choice of namespaces. */
  readonly selector: string;
}

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

interface NamespaceChoice {
  readonly namespaces: NamespaceScope;
  /** What else the selector says. */
  readonly rest: string;
}

/** The newest answer: an exporter selects the same of all its kinds, and that may be hundreds of names. */
let newest: { readonly of: string; readonly is: NamespaceChoice } | undefined;

/** Namespaces that a field selector and the scope of the request leave. */
export function namespacesOf(namespace: string, fieldSelector: string): NamespaceChoice {
  const of = `${namespace} ${fieldSelector}`;
  if (newest?.of !== of) newest = { of, is: readNamespaces(namespace, fieldSelector) };
  return newest.is;
}

function readNamespaces(namespace: string, fieldSelector: string): NamespaceChoice {
  const rest: string[] = [];
  const excluded = new Set<string>();
  let only: ReadonlySet<string> | undefined = namespace === '' ? undefined : new Set([namespace]);
  for (const term of fieldSelector === '' ? [] : fieldSelector.split(',')) {
    const [, operator, name] = /^metadata\.namespace(!=|==?)([0-9a-z-]{1,63})$/.exec(term) ?? [];
    if (name === undefined) rest.push(term);
    else if (operator === '!=') excluded.add(name);
    else only = new Set(only === undefined || only.has(name) ? [name] : []);
  }
  const namespaces: NamespaceScope =
    only === undefined
      ? { except: true, names: sorted(excluded) }
      : { except: false, names: sorted([...only].filter((name) => isNamespace(name) && !excluded.has(name))) };
  return { namespaces, rest: rest.sort().join(',') };
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

/** Another name cannot be that of an object. */
const isNamespace = (name: string): boolean => /^[0-9a-z-]{1,63}$/.test(name);
const sorted = (names: Iterable<string>): string[] => [...names].sort();
const hash16 = (text: string): string => hashToBigInt(fnv1a64(text)).toString(16).padStart(16, '0');
