import { hostname } from 'node:os';
import { type NatsAuth, natsAccess, type NatsConnectionConfig, natsFileVariables } from '@shard-controller/shared/nats';
import { type Environment, env, parseConfig } from '@shard-controller/shared/runtime';
import { z } from 'zod';

const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error'] as const;
const namespace = () =>
  env.text('the name of a namespace').regex(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/, 'expected the name of a namespace');
const namespaces = () =>
  env
    .text('names of namespaces, or * for all')
    .regex(/^(\*|[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(,[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*)$/, 'expected a,b or *');
/** Kinds of credentials that workers can have for NATS. */
const WORKER_AUTH = ['none', 'service-account', 'credentials', 'nkey', 'token', 'password'] as const;
const NATS_AUDIENCE = 'nats.shard.io';
const natsUrls = () => env.urls(['nats', 'tls']);

/** Environment of the manager. Durations are written as in Go (`2s`, `500ms`). */
const managerEnvironmentSchema = z
  .object({
    /** Name of this pod; part of the lease identity and of logs. */
    POD_NAME: env.text("this pod's name").default(hostname()),
    /** Namespace of the manager: home of its Lease. */
    POD_NAMESPACE: namespace(),
    /** Namespace whose ShardConfigs this manager runs; its own by default. */
    WATCH_NAMESPACE: namespace().optional(),
    /** Whether this manager runs ShardConfigs; they need NATS. */
    SHARDCONFIG_ENABLED: env.boolean().default(true),
    /** Whether this manager runs KSMScales. */
    KSMSCALE_ENABLED: env.boolean().default(false),
    /** Namespaces that the pods of KSMScales may be in, as `a,b`; `*` for all. */
    KSMSCALE_NAMESPACES: namespaces().default('monitoring'),
    /** Whether pods of KSMScales name their user; `false` where the platform gives it, as OpenShift does. */
    KSMSCALE_FIXED_USER: env.boolean().default(true),
    /** Where NATS is; needed for ShardConfigs only. */
    NATS_URL: natsUrls().optional(),
    NATS_TOKEN: env.text().optional(),
    NATS_USER: env.text().optional(),
    NATS_PASSWORD: env.text().optional(),
    ...natsFileVariables,
    /** Seed of the account key by which this manager tells NATS who workers are; without, it is not asked. */
    NATS_ISSUER_FILE: env.text('a path').optional(),
    /** Account of NATS that workers are in. */
    NATS_ACCOUNT: env.text('the name of an account').default('SHARDS'),
    /** Copies of each JetStream stream: 1, or 3 on a NATS cluster. */
    NATS_REPLICAS: env.integer(1, 5).default(1),
    /** Where the workers find NATS; `NATS_URL` by default. */
    WORKER_NATS_URL: natsUrls().optional(),
    /** How workers show NATS who they are; all but `none` and `service-account` need WORKER_NATS_SECRET. */
    WORKER_NATS_AUTH: env.oneOf(WORKER_AUTH).default('none'),
    /** Audience of the workers' tokens for NATS; no API server takes them. */
    WORKER_NATS_AUDIENCE: env.text('an audience').default(NATS_AUDIENCE),
    /** Secret of their namespace with `nats.creds`, `nats.nk`, `token`, or `username` and `password`. */
    WORKER_NATS_SECRET: env.text('the name of a Secret').optional(),
    /** Secret of their namespace with `ca.crt`, for NATS over TLS. */
    WORKER_NATS_CA_SECRET: env.text('the name of a Secret').optional(),
    /** Secret of their namespace with a client certificate, `tls.crt` and `tls.key`. */
    WORKER_NATS_CERT_SECRET: env.text('the name of a Secret').optional(),
    /** Image of the `worker` container. */
    WORKER_IMAGE: env.text('an image').default('shard-controller-worker'),
    /** ServiceAccount of worker pods. */
    WORKER_SERVICE_ACCOUNT: env.text('the name of a ServiceAccount').default('shard-controller-worker'),
    WORKER_LOG_LEVEL: env.oneOf(LOG_LEVELS).default('info'),
    /** Whether worker pods name their user and group; `false` where the platform gives them, as OpenShift does. */
    WORKER_FIXED_USER: env.boolean().default(true),
    LEASE_NAME: env.text('the name of a Lease').default('shard-controller-manager'),
    /** A dead leader is replaced after this long. */
    LEASE_DURATION: env.duration(2_000, 300_000).default(6_000),
    /** A leader that could not renew for this long stops by itself. */
    LEASE_RENEW_DEADLINE: env.duration(500, 300_000).default(4_000),
    LEASE_RETRY_PERIOD: env.duration(100, 60_000).default(1_000),
    /** Port of /livez, /readyz and /metrics. */
    HTTP_PORT: env.port().default(8080),
    /** Whether questions are answered on that port, too (`/inspect/v1/`), for `kubectl shard`. */
    INSPECTION_HTTP: env.oneOf(['on', 'off']).default('on'),
    /** How often everything that state implies is compared with the cluster, even without a change. */
    RESYNC_INTERVAL: env.duration(500, 600_000).default(10_000),
    /** Longest time between two looks at deadlines and thresholds. */
    TICK_INTERVAL: env.duration(50, 5_000).default(500),
    LOG_LEVEL: env.oneOf(LOG_LEVELS).default('info'),
  })
  .check((context) => {
    const { LEASE_DURATION, LEASE_RENEW_DEADLINE, LEASE_RETRY_PERIOD } = context.value;
    const { SHARDCONFIG_ENABLED, KSMSCALE_ENABLED, NATS_URL } = context.value;
    if (SHARDCONFIG_ENABLED && NATS_URL === undefined) {
      context.issues.push({
        code: 'custom',
        path: ['NATS_URL'],
        input: undefined,
        message: 'the address of NATS, or SHARDCONFIG_ENABLED=false',
      });
    }
    const { WORKER_NATS_AUTH, WORKER_NATS_SECRET } = context.value;
    if (!['none', 'service-account'].includes(WORKER_NATS_AUTH) && WORKER_NATS_SECRET === undefined) {
      context.issues.push({
        code: 'custom',
        path: ['WORKER_NATS_SECRET'],
        input: undefined,
        message: `the name of a Secret for WORKER_NATS_AUTH=${WORKER_NATS_AUTH}`,
      });
    }
    if (!SHARDCONFIG_ENABLED && !KSMSCALE_ENABLED) {
      context.issues.push({
        code: 'custom',
        path: ['KSMSCALE_ENABLED'],
        input: 'false',
        message: 'true, or SHARDCONFIG_ENABLED=true: this manager would have nothing to do',
      });
    }
    if (LEASE_RENEW_DEADLINE >= LEASE_DURATION) {
      context.issues.push({
        code: 'custom',
        path: ['LEASE_RENEW_DEADLINE'],
        input: context.value,
        message: 'a duration shorter than LEASE_DURATION, or two managers could decide at once',
      });
    }
    if (LEASE_RETRY_PERIOD >= LEASE_RENEW_DEADLINE) {
      context.issues.push({
        code: 'custom',
        path: ['LEASE_RETRY_PERIOD'],
        input: context.value,
        message: 'a duration shorter than LEASE_RENEW_DEADLINE, or a leader could never renew in time',
      });
    }
  });

/** The manager's settings; times in ms. */
export interface ManagerConfig {
  readonly podName: string;
  readonly namespace: string;
  readonly watchNamespace: string;
  readonly shardConfigs: { readonly enabled: boolean };
  readonly ksmScales: KsmScaleSwitch;
  readonly nats: {
    readonly servers: readonly string[];
    /** Who the manager is, and whom it trusts. */
    readonly access: Pick<NatsConnectionConfig, 'auth' | 'tls'>;
    /** How NATS is told who workers are; undefined when it does not ask. */
    readonly callout: { readonly issuerFile: string; readonly account: string } | undefined;
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
  readonly inspectionHttp: boolean;
  readonly resyncIntervalMs: number;
  readonly tickIntervalMs: number;
  readonly logLevel: 'trace' | 'debug' | 'info' | 'warn' | 'error';
}

/** KSMScales as the installation wants them. */
interface KsmScaleSwitch {
  readonly enabled: boolean;
  /** Namespaces that their pods may be in; undefined: all. */
  readonly namespaces: readonly string[] | undefined;
  /** Whether the user of their pods is named, rather than left to the platform. */
  readonly fixedUser: boolean;
}

/** How workers reach NATS, and who they are to it. */
export interface WorkerNats {
  readonly url: string;
  /** `service-account`: by a token of their pod for `audience`, which a manager checks; else what `secret` holds. */
  readonly auth: (typeof WORKER_AUTH)[number];
  readonly audience: string;
  readonly secret?: string | undefined;
  /** Secret with the CA's certificate, `ca.crt`. */
  readonly caSecret?: string | undefined;
  /** Secret with a client certificate, `tls.crt` and `tls.key`. */
  readonly certSecret?: string | undefined;
}

/** What every worker pod gets from the installation and not from its ShardConfig. */
export interface WorkerSettings {
  readonly image: string;
  readonly serviceAccount: string;
  readonly nats: WorkerNats;
  readonly logLevel: string;
  /** Whether its user and group are named, rather than left to the platform. */
  readonly fixedUser: boolean;
}

/** Credentials that stand in the environment itself. */
function inVariables({
  NATS_TOKEN: token,
  NATS_USER: user,
  NATS_PASSWORD: password = '',
}: Readonly<{ NATS_TOKEN?: string | undefined; NATS_USER?: string | undefined; NATS_PASSWORD?: string | undefined }>): {
  readonly auth?: NatsAuth;
} {
  if (token !== undefined) return { auth: { kind: 'token', token } };
  return user === undefined ? {} : { auth: { kind: 'user', user, password } };
}

/** Reads the environment; the only place that does. Reports every problem at once. */
export function loadManagerConfig(environment: Environment): ManagerConfig {
  const e = parseConfig(managerEnvironmentSchema, environment);
  return {
    podName: e.POD_NAME,
    namespace: e.POD_NAMESPACE,
    watchNamespace: e.WATCH_NAMESPACE ?? e.POD_NAMESPACE,
    shardConfigs: { enabled: e.SHARDCONFIG_ENABLED },
    ksmScales: {
      enabled: e.KSMSCALE_ENABLED,
      namespaces: e.KSMSCALE_NAMESPACES === '*' ? undefined : e.KSMSCALE_NAMESPACES.split(','),
      fixedUser: e.KSMSCALE_FIXED_USER,
    },
    nats: {
      servers: e.NATS_URL ?? [],
      access: { ...inVariables(e), ...natsAccess(e) },
      callout:
        e.NATS_ISSUER_FILE === undefined ? undefined : { issuerFile: e.NATS_ISSUER_FILE, account: e.NATS_ACCOUNT },
      replicas: e.NATS_REPLICAS,
    },
    worker: {
      image: e.WORKER_IMAGE,
      serviceAccount: e.WORKER_SERVICE_ACCOUNT,
      nats: {
        url: (e.WORKER_NATS_URL ?? e.NATS_URL ?? []).join(','),
        auth: e.WORKER_NATS_AUTH,
        audience: e.WORKER_NATS_AUDIENCE,
        secret: e.WORKER_NATS_SECRET,
        caSecret: e.WORKER_NATS_CA_SECRET,
        certSecret: e.WORKER_NATS_CERT_SECRET,
      },
      logLevel: e.WORKER_LOG_LEVEL,
      fixedUser: e.WORKER_FIXED_USER,
    },
    lease: {
      name: e.LEASE_NAME,
      durationMs: e.LEASE_DURATION,
      renewDeadlineMs: e.LEASE_RENEW_DEADLINE,
      retryPeriodMs: e.LEASE_RETRY_PERIOD,
    },
    httpPort: e.HTTP_PORT,
    inspectionHttp: e.INSPECTION_HTTP === 'on',
    resyncIntervalMs: e.RESYNC_INTERVAL,
    tickIntervalMs: e.TICK_INTERVAL,
    logLevel: e.LOG_LEVEL,
  };
}
