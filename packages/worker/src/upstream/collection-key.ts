import { fnv1a64, hashToBigInt } from '@shard-controller/shared/hashing';
import { acceptedForms, pathOf } from '../http/index.ts';
import { namespacesOf, type Selection } from './selection.ts';

/** What an exporter's list or watch asks for; equal keys share one upstream watch. */
export interface FeedKey {
  /** Path of the collection: `/api/v1/pods`, `/apis/apps/v1/namespaces/x/deployments`. */
  readonly path: string;
  readonly group: string;
  readonly version: string;
  readonly resource: string;
  readonly namespace: string;
  readonly fieldSelector: string;
  readonly labelSelector: string;
  /** The Accept header that decides encoding and shape. */
  readonly accept: string;
}

/** A request to the Kubernetes API, taken apart. */
export type ApiTarget =
  | { readonly type: 'collection'; readonly address: CollectionAddress }
  | {
      readonly type: 'object';
      readonly address: CollectionAddress;
      readonly name: string;
      readonly subresource: string | undefined;
    }
  | { readonly type: 'other' };

export interface CollectionAddress {
  readonly path: string;
  readonly group: string;
  readonly version: string;
  readonly resource: string;
  readonly namespace: string;
}

/** Takes the path of a Kubernetes API request apart, given as its decoded segments (apiserver: RequestInfo). */
export function parseApiPath(parts: readonly string[]): ApiTarget {
  let at: number;
  let group = '';
  if (parts[0] === 'api') at = 1;
  else if (parts[0] === 'apis') {
    group = parts[1] ?? '';
    at = 2;
  } else return { type: 'other' };
  const version = parts[at];
  let rest = parts.slice(at + 1);
  if (version === undefined || rest.length === 0) return { type: 'other' };
  let namespace = '';
  // `namespaces/x` alone is an object of the collection `namespaces`; with a resource behind it, it is a scope.
  if (rest[0] === 'namespaces' && rest.length > 2 && rest[2] !== 'status' && rest[2] !== 'finalize') {
    namespace = rest[1] as string;
    rest = rest.slice(2);
  }
  const [resource = '', name, subresource] = rest;
  const scope = namespace === '' ? [] : ['namespaces', namespace];
  const root = group === '' ? ['api', version] : ['apis', group, version];
  const path = pathOf([...root, ...scope, resource]);
  const address: CollectionAddress = { path, group, version, resource, namespace };
  if (name === undefined) return { type: 'collection', address };
  return { type: 'object', address, name, subresource };
}

export function feedKeyOf(
  address: CollectionAddress,
  parameters: Readonly<Record<string, string>>,
  accept: string,
): FeedKey {
  const { fieldSelector = '', labelSelector = '' } = parameters;
  return { ...address, fieldSelector, labelSelector, accept };
}

/** One text per key: identifies the feed within the process. */
export function feedId(key: FeedKey): string {
  return [feedName(key), key.accept].join(' ');
}

/** A selector may name hundreds of namespaces; more than this of it is a hash. Characters. */
const SHOWN_OF_SELECTOR = 80;

/** Name of a feed towards people: readable, bounded, and another one for each path and selector, whatever the encoding. */
export function feedName(key: FeedKey): string {
  const selectors = [
    key.fieldSelector === '' ? '' : `fields(${shortSelector(key.fieldSelector)})`,
    key.labelSelector === '' ? '' : `labels(${shortSelector(key.labelSelector)})`,
  ];
  return [key.path, ...selectors].filter((part) => part !== '').join(' ');
}

function shortSelector(selector: string): string {
  if (selector.length <= SHOWN_OF_SELECTOR + 20) return selector;
  const hash = hashToBigInt(fnv1a64(selector)).toString(16).padStart(16, '0');
  return `${selector.slice(0, SHOWN_OF_SELECTOR)}…${hash}`;
}

/** Name of the resource in counts: `pods`, or `widgets.example.com` where the group is not one of Kubernetes' own. */
export function resourceName(key: Pick<FeedKey, 'group' | 'resource'>): string {
  return isBuiltIn(key) ? key.resource : `${key.resource}.${key.group}`;
}

function isBuiltIn({ group }: Pick<FeedKey, 'group'>): boolean {
  return group === '' || !group.includes('.') || group.endsWith('.k8s.io');
}

/** What the feed selects, as another worker would name it. */
export function selectionOf(key: FeedKey): Selection {
  const { namespaces, rest } = namespacesOf(key.namespace, key.fieldSelector);
  const { group, resource, version } = key;
  const selector = [
    rest === '' ? '' : `fields(${rest})`,
    key.labelSelector === '' ? '' : `labels(${key.labelSelector})`,
  ];
  return {
    resource: group === '' ? resource : `${resource}.${group}`,
    version,
    encoding: encodingOf(key),
    namespaces,
    selector: selector.filter((part) => part !== '').join(' '),
  };
}

/** kube-state-metrics reads Kubernetes' own kinds as protobuf, and as JSON once more for custom-resource-state. */
function encodingOf(key: FeedKey): string {
  const [shape] = acceptedForms(key.accept).shapes;
  const isJson = !key.accept.startsWith('application/vnd.kubernetes.protobuf');
  const usual = isJson === !isBuiltIn(key) ? '' : isJson ? 'json' : 'protobuf';
  return shape === 'Object' || shape === undefined ? usual : `${usual}${shape}`;
}

/** Query that narrows a request to the feed's objects. */
export function selectorQuery(key: FeedKey): Record<string, string> {
  const query: Record<string, string> = {};
  if (key.fieldSelector !== '') query['fieldSelector'] = key.fieldSelector;
  if (key.labelSelector !== '') query['labelSelector'] = key.labelSelector;
  return query;
}
