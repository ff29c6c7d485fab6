import { hostname } from 'node:os';
import { parseConfig, parseGoDuration } from '@shard-controller/shared/runtime';
import { z } from 'zod';

const goDuration = (fallback: string) =>
  z
    .string()
    .default(fallback)
    .transform((text, context) => {
      try {
        return parseGoDuration(text);
      } catch (error) {
        context.addIssue(error instanceof Error ? error.message : String(error));
        return z.NEVER;
      }
    });

const dnsLabel = z.string().regex(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/, 'must be a DNS label');
const port = z.coerce.number().int().min(0).max(65535);
const optional = z.string().min(1).optional();

/** Environment of the manager. Durations are Go duration strings (`2s`, `500ms`) and become milliseconds. */
export const managerEnvironmentSchema = z
  .object({
    /** Name of this pod; part of the lease identity and of logs. */
    POD_NAME: z.string().min(1).max(253).default(hostname()),
    /** Namespace of the manager: home of its Lease. */
    POD_NAMESPACE: dnsLabel,
    /** Namespace whose ShardConfigs this manager runs; its own by default. */
    WATCH_NAMESPACE: dnsLabel.optional(),
    /** Where NATS is, comma separated. */
    NATS_URL: z.string().min(1),
    NATS_TOKEN: optional,
    NATS_USER: optional,
    NATS_PASSWORD: optional,
    /** Copies of each JetStream stream: 1, or 3 on a NATS cluster. */
    NATS_REPLICAS: z.coerce.number().int().min(1).max(5).default(1),
    /** Where the workers find NATS; `NATS_URL` by default. */
    WORKER_NATS_URL: z.string().min(1).optional(),
    /** Image of the `worker` container. */
    WORKER_IMAGE: z.string().min(1).max(500).default('shard-controller-worker'),
    /** ServiceAccount of worker pods. */
    WORKER_SERVICE_ACCOUNT: z.string().min(1).max(253).default('shard-controller-worker'),
    /** Log level of worker pods. */
    WORKER_LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error']).default('info'),
    LEASE_NAME: z.string().min(1).max(253).default('shard-controller-manager'),
    /** A dead leader is replaced after this long. */
    LEASE_DURATION: goDuration('8s'),
    /** A leader that could not renew for this long stops by itself; shorter than LEASE_DURATION. */
    LEASE_RENEW_DEADLINE: goDuration('5s'),
    LEASE_RETRY_PERIOD: goDuration('1s'),
    /** Port of /livez, /readyz and /metrics. */
    HTTP_PORT: port.default(8080),
    /** How often everything that state implies is compared with the cluster, even without a change. */
    RESYNC_INTERVAL: goDuration('10s'),
    /** Longest time between two looks at deadlines and thresholds. */
    TICK_INTERVAL: goDuration('500ms'),
    LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error']).default('info'),
  })
  .check((context) => {
    const { LEASE_DURATION, LEASE_RENEW_DEADLINE, LEASE_RETRY_PERIOD } = context.value;
    if (LEASE_RENEW_DEADLINE >= LEASE_DURATION) {
      context.issues.push({
        code: 'custom',
        path: ['LEASE_RENEW_DEADLINE'],
        input: context.value,
        message: 'must be shorter than LEASE_DURATION, or two managers could decide at once',
      });
    }
    if (LEASE_RETRY_PERIOD >= LEASE_RENEW_DEADLINE) {
      context.issues.push({
        code: 'custom',
        path: ['LEASE_RETRY_PERIOD'],
        input: context.value,
        message: 'must be shorter than LEASE_RENEW_DEADLINE, or a leader could never renew in time',
      });
    }
  });

/** The manager's settings; times in ms. */
export interface ManagerConfig {
  readonly podName: string;
  readonly namespace: string;
  readonly watchNamespace: string;
  readonly nats: {
    readonly servers: readonly string[];
    readonly token: string | undefined;
    readonly user: string | undefined;
    readonly password: string | undefined;
    readonly replicas: number;
  };
  readonly worker: WorkerSettings;
  readonly lease: {
    readonly name: string;
    readonly durationMs: number;
    readonly renewDeadlineMs: number;
    readonly retryPeriodMs: number;
  };
  readonly httpPort: number;
  readonly resyncIntervalMs: number;
  readonly tickIntervalMs: number;
  readonly logLevel: 'trace' | 'debug' | 'info' | 'warn' | 'error';
}

/** What every worker pod gets from the installation and not from its ShardConfig. */
export interface WorkerSettings {
  readonly image: string;
  readonly serviceAccount: string;
  readonly natsUrl: string;
  readonly logLevel: string;
}

/** Reads the environment; the only place that does. Reports every problem at once. */
export function loadManagerConfig(env: Readonly<Record<string, string | undefined>>): ManagerConfig {
  const e = parseConfig(managerEnvironmentSchema, env);
  return {
    podName: e.POD_NAME,
    namespace: e.POD_NAMESPACE,
    watchNamespace: e.WATCH_NAMESPACE ?? e.POD_NAMESPACE,
    nats: {
      servers: e.NATS_URL.split(',').map((server) => server.trim()),
      token: e.NATS_TOKEN,
      user: e.NATS_USER,
      password: e.NATS_PASSWORD,
      replicas: e.NATS_REPLICAS,
    },
    worker: {
      image: e.WORKER_IMAGE,
      serviceAccount: e.WORKER_SERVICE_ACCOUNT,
      natsUrl: e.WORKER_NATS_URL ?? e.NATS_URL,
      logLevel: e.WORKER_LOG_LEVEL,
    },
    lease: {
      name: e.LEASE_NAME,
      durationMs: e.LEASE_DURATION,
      renewDeadlineMs: e.LEASE_RENEW_DEADLINE,
      retryPeriodMs: e.LEASE_RETRY_PERIOD,
    },
    httpPort: e.HTTP_PORT,
    resyncIntervalMs: e.RESYNC_INTERVAL,
    tickIntervalMs: e.TICK_INTERVAL,
    logLevel: e.LOG_LEVEL,
  };
}
