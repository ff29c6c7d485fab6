import type { Logger } from '../../observability/index.ts';
import type { Clock } from '../../runtime/index.ts';
import type { KubernetesClient } from '../client/index.ts';
import type { Invalid, Parsed } from './object-cache.ts';
import type { ReflectorMetrics } from './reflector-metrics.ts';

/**
 * Receives the collection. Calls come one at a time and in order. A throw is logged and counted, and does not stop the
 * reflector; the object counts as delivered.
 */
export interface ReflectorHandler<T> {
  /**
   * The whole collection as of `resourceVersion`; everything not in it is gone. `invalid`: objects that `parse` refuses
   * now, each reported just before; those that once were valid are among `items`.
   */
  replace(items: readonly T[], resourceVersion: string, invalid: readonly Invalid[]): void;
  upsert(object: T): void;
  /** The last state seen of an object that was deleted. */
  remove(object: T): void;
  /** An object was deleted that `parse` has refused from the first. */
  removeInvalid?(raw: Readonly<Record<string, unknown>>): void;
  /**
   * An object that `parse` refused, each time it is seen. Its last valid form, if there was one, stays in force: it is
   * neither removed nor missing from `replace` until the object itself is deleted.
   */
  invalid?(raw: Readonly<Record<string, unknown>>, problems: readonly string[]): void;
}

export interface ReflectorOptions<T> {
  readonly client: KubernetesClient;
  /** Path of the collection, see `resourcePath`. */
  readonly path: string;
  /** Selectors, sent with list and watch. */
  readonly query?: Readonly<Record<string, string>>;
  readonly parse: (raw: Readonly<Record<string, unknown>>) => Parsed<T>;
  readonly handler: ReflectorHandler<T>;
  readonly logger: Logger;
  readonly clock?: Clock;
  readonly metrics?: ReflectorMetrics;
  /** Paged: a list of pages, then a watch. Streaming: one WatchList (KEP-3157), Paged where the server has none. */
  readonly listMode?: 'Paged' | 'Streaming';
  /** Asks for apiVersion, kind and metadata of each object, and nothing else of it. */
  readonly metadataOnly?: boolean;
  /** Objects a page. */
  readonly pageSize?: number;
  /** Longest wait between two tries, ms: 2,000 to 30,000 in production. */
  readonly maxBackoffMs?: number;
  /** A watch without a single byte for so long is taken for dead and opened again, ms. Bookmarks come about once a minute. */
  readonly silenceMs?: number;
  /** Uniform in [0, 1). */
  readonly random?: () => number;
}
