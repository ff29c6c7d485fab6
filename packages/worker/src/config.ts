import type { Environment } from '@shard-controller/shared/runtime';
import { ConfigError, env, parseConfig } from '@shard-controller/shared/runtime';
import { natsFileVariables } from '@shard-controller/shared/nats';
import { LOG_LEVELS } from '@shard-controller/shared/observability';
import { z } from 'zod';
import type { CustomResourceKind } from './pruning/index.ts';
import { parsePodName } from './worker-identity.ts';

const port = (standard: number) => env.port().default(standard);
const milliseconds = (min: number, max: number, standard: number) => env.integer(min, max).default(standard);
const amount = () => env.integer(1, 999_999_999_999_999).optional();

/** What the manager derives from texts of a ShardConfig may be as long as one variable can be (Linux: 128 KiB). */
const LONGEST = 131_072;

const KIND = /^(?<kind>\*|[A-Za-z][-A-Za-z0-9]{0,62})\.(?<group>[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?)$/;

function customResources() {
  const expected = 'kinds like Widget.example.com, or *.example.com, separated by commas';
  return env
    .text(expected, LONGEST)
    .optional()
    .transform((value = '', context): readonly CustomResourceKind[] => {
      const names = value.split(',').map((name) => name.trim());
      return names.flatMap((name) => {
        if (name === '') return [];
        const { kind, group } = KIND.exec(name)?.groups ?? {};
        if (kind !== undefined && group !== undefined) return [{ kind, group }];
        context.addIssue(`expected ${expected}`);
        return [];
      });
    });
}

const ALLOWED = /\s*(?<resource>[^=,[\]\s]+)=\[(?<keys>[^[\]]*)\]\s*(?:,|$)/gy;

function annotationAllowList() {
  const expected = 'annotation keys by resource, like pods=[example.com/owner,example.com/team],deployments=[*]';
  return env
    .text(expected, LONGEST)
    .default('')
    .transform((value, context): ReadonlyMap<string, readonly string[]> => {
      const allowed = new Map<string, readonly string[]>();
      let read = 0;
      for (const match of value.matchAll(ALLOWED)) {
        read = match.index + match[0].length;
        const { resource = '', keys = '' } = match.groups ?? {};
        const named = keys.split(',').flatMap((key) => key.trim() || []);
        allowed.set(resource, [...(allowed.get(resource) ?? []), ...named]);
      }
      if (read < value.trimEnd().length) context.addIssue(`expected ${expected}`);
      return allowed;
    });
}

/** The worker's environment; the pod template sets it. Times are in ms, as the names say. */
const workerEnvironment = z.object({
  /** `<config>-(a|b|s)-<ordinal>`: says which shard and which replica this is. */
  POD_NAME: env.text('the name of a worker pod, <config>-(a|b|s)-<ordinal>'),
  POD_NAMESPACE: env.text('the namespace of the pod'),
  NODE_NAME: env.text('the name of the node').default('unknown'),
  SHARD_CONFIG: env.text('the name of the ShardConfig'),
  SHARD_CONFIG_UID: env.text('the uid of the ShardConfig'),
  /** Label `shard.io/revision` of the pod. */
  REVISION: env.text('the revision of the pod template').default('unknown'),

  NATS_URL: env.urls(['nats', 'tls']),
  ...natsFileVariables,
  /** Folder with `token` and `ca.crt`. */
  SERVICE_ACCOUNT_FOLDER: env.text('a path').default('/var/run/secrets/kubernetes.io/serviceaccount'),

  LOG_LEVEL: env.oneOf(LOG_LEVELS).default('info'),
  /** Address that the gateway and the health endpoints listen on; all when not set. */
  LISTEN_HOST: env.text('an IP address').optional(),
  /** `/metrics` of the shard. */
  GATEWAY_PORT: port(8080),
  /** `/livez`, `/readyz`, own `/metrics`, `/drain/wait`. */
  HEALTH_PORT: port(8083),
  /** The API server that the exporter sees, on 127.0.0.1. */
  PROXY_PORT: port(8084),
  /** The same for other clients, on 127.0.0.1: `kubectl port-forward` to it shows the objects of this shard. None when not set. */
  CLIENT_PORT: env.port().optional(),
  /** kube-state-metrics on 127.0.0.1: its metrics, and its telemetry about itself. */
  EXPORTER_PORT: port(8082),
  EXPORTER_TELEMETRY_PORT: port(8081),

  /** Longest time that a scrape waits for the exposition to be complete. */
  SCRAPE_HOLD_MS: milliseconds(0, 60_000, 2000),
  /** Scrapes at the same time. */
  MAX_SCRAPES: env.integer(1, 1000).default(16),
  HEARTBEAT_INTERVAL_MS: milliseconds(100, 60_000, 1000),
  /** Longest time between two writes of the ShardInstance's status. */
  STATUS_INTERVAL_MS: milliseconds(1000, 300_000, 10_000),
  /** Longest time between SIGTERM and the end; less than the pod's terminationGracePeriodSeconds. */
  DRAIN_TIMEOUT_MS: milliseconds(0, 86_400_000, 170_000),
  /** What the gateway does when neither the API server nor NATS can be reached. */
  ISOLATION: env.oneOf(['Serve', 'Fence']).default('Serve'),

  /**
   * Kinds of the exporter's custom-resource-state configuration, `Kind.group` separated by commas, `*.group` for a whole
   * group: changes of other CustomResourceDefinitions are kept from the exporter.
   */
  CUSTOM_RESOURCES: customResources(),

  /**
   * `auto`: where the API server narrows lists and watches to ranges of the hash (KEP-5866), only the objects of the
   * needed slots are read. `off`: everything is read and filtered here.
   */
  PUSHDOWN: env.oneOf(['auto', 'off']).default('auto'),
  /** Serves `/debug/shard` on the health port: which objects are here and why, without their bodies. */
  DEBUG_ENDPOINTS: env.boolean().default(false),
  /** Time between two comparisons of the exposition with what the exporter was sent; 0 for none. */
  SELF_CHECK_INTERVAL_MS: milliseconds(0, 86_400_000, 300_000),

  /** Version of kube-state-metrics, `2.20.0`: says what it reads of objects, so that the rest is cut. */
  EXPORTER_VERSION: env.text('a version, like 2.20.0').optional(),
  /** Its `--metric-annotations-allowlist`: other annotations are cut. */
  ANNOTATION_ALLOW_LIST: annotationAllowList(),

  /** What load 1.0 means, per measure; those that are not set do not count. From the ShardConfig's `capacity`. */
  CAPACITY_OBJECTS: amount(),
  CAPACITY_EXPOSITION_BYTES: amount(),
  CAPACITY_MEMORY_BYTES: amount(),
  CAPACITY_SCRAPE_DURATION_MS: amount(),
  CAPACITY_QUEUE_DEPTH: amount(),

  /** Tests only: makes this worker a bad migration target. */
  SHARD_CONTROLLER_TEST_FAULT: env.oneOf(['omit-one', 'stop-feed', 'mute']).optional(),
});

export type WorkerConfig = Readonly<z.output<typeof workerEnvironment>> & {
  /** What the pod name says. */
  readonly worker: NonNullable<ReturnType<typeof parsePodName>>;
};

/**
 * Reads the worker's configuration from its environment.
 * @throws ConfigError naming every variable that is wrong.
 */
export function loadWorkerConfig(environment: Environment): WorkerConfig {
  const config = parseConfig(workerEnvironment, environment);
  const worker = parsePodName(config.POD_NAME);
  if (worker === undefined || worker.config !== config.SHARD_CONFIG) {
    throw new ConfigError([
      {
        variable: 'POD_NAME',
        given: config.POD_NAME,
        expected:
          `${config.SHARD_CONFIG}-(a|b|s)-<ordinal>, the name of a worker pod of ShardConfig ${config.SHARD_CONFIG}: ` +
          'run the worker in the StatefulSet that the manager creates',
      },
    ]);
  }
  return Object.freeze({ ...config, worker });
}
