import type { ResourceVersion } from '@shard-controller/shared/kubernetes';
import { isWellFormedVersion } from '../wire/index.ts';

/** Parameters of reads that are forwarded to the API server; it ignores all others, so they are dropped. */
const PARAMETERS = [
  'resourceVersion',
  'resourceVersionMatch',
  'fieldSelector',
  'labelSelector',
  'shardSelector',
  'limit',
  'continue',
  'timeoutSeconds',
  'timeout',
  'pretty',
] as const;
const FLAGS = ['watch', 'allowWatchBookmarks', 'sendInitialEvents'] as const;

/** The query of a list, watch or get, each parameter once and in one spelling. */
export interface ReadQuery {
  readonly parameters: Readonly<Record<string, string>>;
  readonly isWatch: boolean;
  readonly wantsBookmarks: boolean;
  readonly wantsInitialEvents: boolean;
  readonly resourceVersion: ResourceVersion;
  /** Table rows without their objects. */
  readonly leavesObjectsOut: boolean;
}

/** Reads a query as the API server does: the first of equal names counts. */
export function readQuery(query: URLSearchParams): ReadQuery {
  const parameters: Record<string, string> = {};
  for (const name of PARAMETERS) {
    const value = query.get(name);
    if (value !== null && value !== '') parameters[name] = value;
  }
  for (const name of FLAGS) {
    const value = query.get(name);
    if (value !== null) parameters[name] = String(isTrue(value));
  }
  const includeObject = query.get('includeObject');
  const leavesObjectsOut = includeObject === 'None';
  // The uid is in the object: it is asked for here, and cut off on the way back.
  if (includeObject !== null && includeObject !== '') {
    parameters['includeObject'] = leavesObjectsOut ? 'Metadata' : includeObject;
  }
  return {
    parameters,
    isWatch: parameters['watch'] === 'true',
    wantsBookmarks: parameters['allowWatchBookmarks'] === 'true',
    wantsInitialEvents: parameters['sendInitialEvents'] === 'true',
    resourceVersion: parameters['resourceVersion'] ?? '',
    leavesObjectsOut,
  };
}

/** Every value but `0` and `false` is true, the empty one included (apimachinery: Convert_Slice_string_To_bool). */
function isTrue(value: string): boolean {
  return value !== '0' && value.toLowerCase() !== 'false';
}

/** Whether nothing is asked of the past: the client has nothing yet. */
export function holdsNothing({ resourceVersion }: ReadQuery): boolean {
  return resourceVersion === '' || resourceVersion === '0';
}

/**
 * Whether a read has one of the forms by which an exporter fills and follows its store, which a feed answers. All other
 * forms, the invalid ones among them, are the API server's to judge (apimachinery: ValidateListOptions).
 */
export function isExporterForm(read: ReadQuery): boolean {
  const { parameters, isWatch, wantsInitialEvents, resourceVersion } = read;
  const match = parameters['resourceVersionMatch'];
  if ('continue' in parameters || 'shardSelector' in parameters) return false;
  if (!holdsNothing(read) && !isWellFormedVersion(resourceVersion)) return false;
  if (wantsInitialEvents) return isWatch && match === 'NotOlderThan';
  if ('sendInitialEvents' in parameters) return false;
  if (!/^[0-9]*$/.test(parameters['limit'] ?? '')) return false;
  if (match === undefined) return true;
  return !isWatch && match === 'NotOlderThan' && resourceVersion !== '';
}
