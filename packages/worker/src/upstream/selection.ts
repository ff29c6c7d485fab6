import type { NamespaceScope } from '@shard-controller/shared/contracts';

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

/** Another name cannot be that of an object. */
const isNamespace = (name: string): boolean => /^[0-9a-z-]{1,63}$/.test(name);
const sorted = (names: Iterable<string>): string[] => [...names].sort();
