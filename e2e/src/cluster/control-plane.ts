import { completed, type Credentials as NatsCredentials } from '@shard-controller/manager/nats-credentials';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { API_SERVER_ADDRESS, BRIDGE_ADDRESS, NATS_ADDRESS } from '../namespace/index.ts';
import { resolveBinaries, resolveKwokStages } from './binaries.ts';
import { controllersWithout, featureGates } from './capabilities.ts';
import { type Credentials, kubeconfig, type StaticUser } from './credentials.ts';
import { ManagedProcess } from './managed-process.ts';
import { answersHttp, answersHttps } from './readiness.ts';

/** The namespace is private, so ports can be fixed: a restarted part is found where it was. */
export const API_SERVER_PORT = 6443;
const NATS_PORT = 4222;
const NATS_MONITOR_PORT = 8222;
const KWOK_PORT = 10_247;

export interface ControlPlaneOptions {
  readonly folder: string;
  readonly logFolder: string;
  readonly credentials: Credentials;
  /** Kubernetes feature gate of KEP-5866 (server-side shard selectors). */
  readonly shardedListAndWatch: boolean;
  /** Fake nodes and pods by kwok. */
  readonly fakeNodes: boolean;
  /** Silence of a node before its pods count as NotReady, seconds. Kubernetes' default is 50. */
  readonly nodeMonitorGraceSeconds?: number | undefined;
  /** Seconds that a pod tolerates a lost node by default. Kubernetes' default is 300. */
  readonly lostNodeTolerationSeconds?: number | undefined;
}

/** The processes, not yet started, in the order in which they can be. */
export interface ControlPlane {
  readonly nats: ManagedProcess;
  readonly natsAccess: ClusterNats;
  readonly etcd: ManagedProcess;
  readonly apiServer: ManagedProcess;
  readonly controllerManager: ManagedProcess;
  readonly scheduler: ManagedProcess;
  readonly kwok: ManagedProcess | undefined;
  /** The API server's certificate, which is its own authority; there once the server has started. */
  readonly caFile: string;
}

export const API_SERVER_URL = `https://${API_SERVER_ADDRESS}:${API_SERVER_PORT}`;
const NATS_URL = `nats://${NATS_ADDRESS}:${NATS_PORT}`;

/** The cluster's NATS: managers and people have keys, workers show the token of their pod, and all of them talk TLS. */
export interface ClusterNats {
  readonly url: string;
  readonly credentials: NatsCredentials;
  /** For those who look, outside of pods. */
  readonly inspectorFile: string;
  readonly caFile: string;
}

/** @throws BinaryMissingError naming everything that is absent */
export function controlPlane(options: ControlPlaneOptions): ControlPlane {
  mkdirSync(options.folder, { recursive: true });
  mkdirSync(options.logFolder, { recursive: true });
  const binaries = resolveBinaries([
    'etcd',
    'kube-apiserver',
    'kube-controller-manager',
    'kube-scheduler',
    'nats-server',
  ]);
  const part = new PartFactory(options);
  const natsAccess = clusterNats(part);
  const caFile = join(options.folder, 'certificates', 'apiserver.crt');
  return {
    caFile,
    nats: nats(part, binaries['nats-server']),
    natsAccess,
    etcd: etcd(part, binaries.etcd),
    apiServer: apiServer(part, binaries['kube-apiserver'], caFile),
    controllerManager: controllerManager(part, binaries['kube-controller-manager'], caFile),
    scheduler: scheduler(part, binaries['kube-scheduler'], caFile),
    kwok: options.fakeNodes ? kwok(part, resolveBinaries(['kwok']).kwok, caFile) : undefined,
  };
}

class PartFactory {
  readonly options: ControlPlaneOptions;

  constructor(options: ControlPlaneOptions) {
    this.options = options;
  }

  make(
    name: string,
    executable: string,
    args: () => readonly string[],
    ready: () => Promise<boolean>,
    stopTimeoutMs?: number,
  ): ManagedProcess {
    return new ManagedProcess({
      name,
      executable,
      // The arguments may depend on files that an earlier part writes.
      get args() {
        return args();
      },
      ready,
      folder: this.options.folder,
      logFile: join(this.options.logFolder, `${name}.log`),
      ...(stopTimeoutMs === undefined ? {} : { stopTimeoutMs }),
    });
  }

  path(name: string): string {
    return join(this.options.folder, name);
  }

  /** Written when its user starts: the certificate exists only then. */
  kubeconfigOf(user: StaticUser, caFile: string): string {
    const file = this.path(`${user.name.replaceAll(':', '-')}.kubeconfig`);
    const caPem = existsSync(caFile) ? readFileSync(caFile, 'utf8') : '';
    writeFileSync(file, kubeconfig({ server: API_SERVER_URL, caPem, token: user.token }), { mode: 0o600 });
    return file;
  }
}

const ACCOUNT = 'SHARDS';

/** What the Job of the chart makes, as files beside the server's configuration. */
function clusterNats(part: PartFactory): ClusterNats {
  const nothing = { server: {}, manager: {}, inspector: {}, ca: {} };
  const credentials = completed(nothing, { account: ACCOUNT, names: [NATS_ADDRESS], nowMs: Date.now() });
  const write = (file: string, content = ''): string => {
    writeFileSync(part.path(file), content, { mode: 0o600 });
    return part.path(file);
  };
  for (const file of ['users.conf', 'tls.crt', 'tls.key']) write(file, credentials.server[file]);
  return {
    url: NATS_URL,
    credentials,
    inspectorFile: write('inspector.nk', credentials.inspector['nats.nk']),
    caFile: write('nats-ca.crt', credentials.ca['ca.crt']),
  };
}

function nats(part: PartFactory, executable: string): ManagedProcess {
  const file = part.path('nats.conf');
  const certificate = `cert_file: ${JSON.stringify(part.path('tls.crt'))}, key_file: ${JSON.stringify(part.path('tls.key'))}`;
  writeFileSync(
    file,
    [
      `listen: "${NATS_ADDRESS}:${NATS_PORT}"`,
      `http: "127.0.0.1:${NATS_MONITOR_PORT}"`,
      // Without it an acknowledged event may be lost with the machine.
      `jetstream { store_dir: ${JSON.stringify(part.path('nats'))}, sync_interval: always }`,
      'include ./users.conf',
      `tls { ${certificate}, timeout: 5 }`,
      '',
    ].join('\n'),
  );
  return part.make(
    'nats-server',
    executable,
    () => ['-c', file],
    answersHttp(`http://127.0.0.1:${NATS_MONITOR_PORT}/healthz`),
  );
}

function etcd(part: PartFactory, executable: string): ManagedProcess {
  const client = 'http://127.0.0.1:2379';
  const args = flags({
    'data-dir': part.path('etcd'),
    'listen-client-urls': client,
    'advertise-client-urls': client,
    'listen-peer-urls': 'http://127.0.0.1:2380',
    'unsafe-no-fsync': true,
    'log-level': 'warn',
  });
  return part.make('etcd', executable, () => args, answersHttp(`${client}/health`));
}

function apiServer(part: PartFactory, executable: string, caFile: string): ManagedProcess {
  const { credentials, lostNodeTolerationSeconds: toleration, shardedListAndWatch } = part.options;
  const args = flags({
    'etcd-servers': 'http://127.0.0.1:2379',
    'secure-port': API_SERVER_PORT,
    'cert-dir': part.path('certificates'),
    'token-auth-file': credentials.tokenFile,
    'authorization-mode': 'Node,RBAC',
    'enable-admission-plugins': 'NodeRestriction',
    'service-account-issuer': 'https://kubernetes.default.svc',
    'service-account-key-file': credentials.serviceAccountPublicKey,
    'service-account-signing-key-file': credentials.serviceAccountKey,
    'service-cluster-ip-range': '10.96.0.0/16',
    // The endpoint of the Service `kubernetes`; it must exist and must not be a loopback address.
    'advertise-address': API_SERVER_ADDRESS,
    'feature-gates': featureGates(executable, { ShardedListAndWatch: shardedListAndWatch }) || undefined,
    // Otherwise an ordered stop waits 60 s for open watches.
    'shutdown-watch-termination-grace-period': '1s',
    'default-not-ready-toleration-seconds': toleration,
    'default-unreachable-toleration-seconds': toleration,
  });
  const ready = answersHttps(`${API_SERVER_URL}/readyz`, caFile, credentials.admin.token);
  return part.make('kube-apiserver', executable, () => args, ready, 15_000);
}

function controllerManager(part: PartFactory, executable: string, caFile: string): ManagedProcess {
  const { credentials, nodeMonitorGraceSeconds: grace } = part.options;
  const args = (): readonly string[] =>
    flags({
      kubeconfig: part.kubeconfigOf(credentials.controllerManager, caFile),
      'use-service-account-credentials': true,
      'root-ca-file': caFile,
      'service-account-private-key-file': credentials.serviceAccountKey,
      'leader-elect': false,
      'bind-address': '127.0.0.1',
      // One token request per controller: with the default rate the controllers start 5 s later.
      'kube-api-qps': 500,
      'kube-api-burst': 1000,
      // The one that is left out cannot work with a self-made certificate and complains for ever.
      controllers: controllersWithout(executable, ['kube-apiserver-serving-clustertrustbundle-publisher-controller']),
      'node-monitor-period': grace === undefined ? undefined : '1s',
      'node-monitor-grace-period': grace === undefined ? undefined : `${grace}s`,
    });
  return part.make('kube-controller-manager', executable, args, answersHttps('https://127.0.0.1:10257/healthz'));
}

function scheduler(part: PartFactory, executable: string, caFile: string): ManagedProcess {
  const args = (): readonly string[] =>
    flags({
      kubeconfig: part.kubeconfigOf(part.options.credentials.scheduler, caFile),
      'leader-elect': false,
      'bind-address': '127.0.0.1',
    });
  return part.make('kube-scheduler', executable, args, answersHttps('https://127.0.0.1:10259/healthz'));
}

function kwok(part: PartFactory, executable: string, caFile: string): ManagedProcess {
  const stages = resolveKwokStages();
  const args = (): readonly string[] =>
    flags({
      kubeconfig: part.kubeconfigOf(part.options.credentials.kwok, caFile),
      config: stages,
      'manage-nodes-with-annotation-selector': 'kwok.x-k8s.io/node=fake',
      'node-lease-duration-seconds': 40,
      // The fake pods' addresses must not collide with real ones.
      cidr: '10.89.0.0/16',
      'node-ip': BRIDGE_ADDRESS,
      'node-port': KWOK_PORT,
      'server-address': `127.0.0.1:${KWOK_PORT}`,
    });
  return part.make('kwok', executable, args, answersHttp(`http://127.0.0.1:${KWOK_PORT}/healthz`));
}

/** `--name=value`; a flag without a value is left out. */
function flags(values: Readonly<Record<string, string | number | boolean | undefined>>): readonly string[] {
  return Object.entries(values).flatMap(([name, value]) => (value === undefined ? [] : [`--${name}=${value}`]));
}
