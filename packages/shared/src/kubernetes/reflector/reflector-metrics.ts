import type { FailureCause } from '../client/index.ts';
import { Counter, type Registry } from 'prom-client';

/** What a reflector counts. */
export interface ReflectorMetrics {
  /** A list or watch failed. */
  failure(cause: FailureCause): void;
  /** A complete list was delivered. */
  listed(): void;
  /** A watch was opened. */
  watched(): void;
  /** An object did not pass `parse`. */
  invalid(): void;
  /** A callback of the handler threw. */
  handlerFailed(): void;
}

/** Counts nothing. */
export const noReflectorMetrics: ReflectorMetrics = {
  failure: () => {},
  listed: () => {},
  watched: () => {},
  invalid: () => {},
  handlerFailed: () => {},
};

/** Counters of one reflector in `registry`, told apart by `resource` (for example `shardconfigs.shard.io`). */
export function reflectorMetrics(registry: Registry, resource: string): ReflectorMetrics {
  const failures = counter(registry, 'reflector_failures_total', 'Lists and watches that failed, by cause.', ['cause']);
  const lists = counter(registry, 'reflector_lists_total', 'Complete lists delivered.', []);
  const watches = counter(registry, 'reflector_watches_total', 'Watches opened.', []);
  const invalid = counter(registry, 'reflector_invalid_objects_total', 'Objects that did not pass validation.', []);
  const handler = counter(registry, 'reflector_handler_failures_total', 'Handler callbacks that threw.', []);
  return {
    failure: (cause) => failures.inc({ resource, cause }),
    listed: () => lists.inc({ resource }),
    watched: () => watches.inc({ resource }),
    invalid: () => invalid.inc({ resource }),
    handlerFailed: () => handler.inc({ resource }),
  };
}

function counter(registry: Registry, suffix: string, help: string, labels: readonly string[]): Counter {
  const name = `shard_controller_${suffix}`;
  // Several reflectors share one registry; prom-client refuses to register a name twice.
  const existing = registry.getSingleMetric(name);
  if (existing instanceof Counter) return existing;
  return new Counter({ name, help, labelNames: ['resource', ...labels], registers: [registry] });
}
