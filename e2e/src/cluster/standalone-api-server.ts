import { randomBytes } from 'node:crypto';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { BinaryMissingError, resolveBinaries, resolveSystemTool } from './binaries.ts';
import { featureGates } from './capabilities.ts';
import { type Credentials, makeCredentials } from './credentials.ts';
import { freePorts } from './free-ports.ts';
import { ManagedProcess, ProcessStartError } from './managed-process.ts';
import { answersHttp, answersHttps } from './readiness.ts';

/**
 * A real etcd and kube-apiserver on free ports of 127.0.0.1, for tests that need nothing else: no namespace, no
 * controllers, no nodes. RBAC is on. Objects live as long as this does.
 */
export interface StandaloneApiServer {
  /** `https://127.0.0.1:<port>`; the same after a restart. */
  readonly server: string;
  /** The API server's certificate, which is its own authority, PEM. */
  readonly ca: string;
  /** Token of a member of system:masters. */
  readonly adminToken: string;
  /** Log files of both processes are here until `stop`. */
  readonly folder: string;
  /** A token for any user and groups, valid at once and until `revoke` or `stop`. */
  tokenFor(user: string, groups?: readonly string[]): string;
  /** Makes a token of `tokenFor` invalid: 401 after at most 10 s, the time that the API server remembers a token. */
  revoke(token: string): void;
  /** Where etcd listens, plain HTTP. */
  readonly etcd: string;
  /**
   * Starts another API server on the same data, with the same certificate and tokens; it ends with this one.
   *
   * @param etcd the way to etcd, when it is not the direct one.
   */
  addReplica(featureGates: Readonly<Record<string, boolean>>, etcd?: string): Promise<string>;
  /** SIGKILLs the API server; etcd stays. */
  kill(): Promise<void>;
  /** Ends the API server in order when it runs, and starts it again on the same port with the same data. */
  restart(): Promise<void>;
  /** Copies what etcd holds; etcd is stopped for that moment. */
  backup(): Promise<void>;
  /** Puts the last backup back in place, etcd's revision included, and starts the API server again. */
  restore(): Promise<void>;
  /** SIGSTOP: connections are still accepted by the kernel, nothing answers. */
  pause(): Promise<void>;
  resume(): void;
  /** Ends both processes and removes the data. */
  stop(): Promise<void>;
}

export interface ApiServerOptions {
  /** Feature gates by name, as far as this version knows them; `ShardedListAndWatch` is on unless it is set here. */
  readonly featureGates?: Readonly<Record<string, boolean>>;
  /** Further flags of kube-apiserver, for example `--min-request-timeout=5`. */
  readonly extraArgs?: readonly string[];
}

/** Ports are chosen before they are used, so another process may take one in between. */
const START_ATTEMPTS = 3;

/**
 * Starts both, in about 5 s. They end with this process, even when it is killed (where util-linux' `setpriv` exists).
 *
 * @throws BinaryMissingError
 * @throws ProcessStartError
 */
export async function startApiServer(options: ApiServerOptions = {}): Promise<StandaloneApiServer> {
  const binaries = resolveBinaries(['etcd', 'kube-apiserver']);
  for (let attempt = 1; ; attempt += 1) {
    const instance = await Instance.create(binaries, options);
    try {
      await instance.start();
      return instance;
    } catch (error) {
      const portTaken = error instanceof ProcessStartError && error.message.includes('address already in use');
      await instance.stop();
      if (!portTaken || attempt === START_ATTEMPTS) throw error;
    }
  }
}

type Binaries = Readonly<Record<'etcd' | 'kube-apiserver', string>>;

class Instance implements StandaloneApiServer {
  readonly folder: string;
  readonly server: string;
  readonly #data: string;
  readonly #backup: string;
  readonly #caFile: string;
  readonly #credentials: Credentials;
  readonly #users: UserDirectory;
  readonly #etcd: ManagedProcess;
  readonly #apiServer: ManagedProcess;
  readonly #replicas: ManagedProcess[] = [];
  readonly etcd: string;
  readonly #newServer: (name: string, port: number, options: ApiServerOptions, etcd?: string) => ManagedProcess;
  readonly #reap = (): void => {
    for (const part of [...this.#replicas, this.#apiServer, this.#etcd])
      if (part.pid !== undefined) process.kill(part.pid, 'SIGKILL');
    rmSync(this.folder, { recursive: true, force: true });
  };

  static async create(binaries: Binaries, options: ApiServerOptions): Promise<Instance> {
    const ports = await freePorts(3);
    const users = await UserDirectory.start();
    return new Instance(binaries, options, ports, users);
  }

  private constructor(
    binaries: Binaries,
    options: ApiServerOptions,
    [port = 0, etcdPort = 0, peerPort = 0]: readonly number[],
    users: UserDirectory,
  ) {
    this.folder = mkdtempSync(join(tmpdir(), 'shard-api-server-'));
    this.server = `https://127.0.0.1:${port}`;
    this.#data = join(this.folder, 'etcd');
    this.#backup = join(this.folder, 'etcd-backup');
    this.#users = users;
    this.#credentials = makeCredentials(join(this.folder, 'credentials'), []);
    const certificates = join(this.folder, 'certificates');
    mkdirSync(certificates);
    this.#caFile = join(certificates, 'apiserver.crt');
    const etcdUrl = `http://127.0.0.1:${etcdPort}`;
    this.etcd = etcdUrl;
    this.#etcd = this.#part('etcd', binaries.etcd, etcdArgs(this.#data, etcdUrl, `http://127.0.0.1:${peerPort}`), {
      ready: answersHttp(`${etcdUrl}/health`),
    });
    const webhook = join(this.folder, 'token-webhook.kubeconfig');
    writeFileSync(webhook, webhookKubeconfig(users.url));
    this.#newServer = (name, at, how, etcd = etcdUrl) => {
      const args = apiServerArgs({
        executable: binaries['kube-apiserver'],
        credentials: this.#credentials,
        certificates,
        port: at,
        etcdUrl: etcd,
        webhook,
        options: how,
      });
      const server = `https://127.0.0.1:${at}`;
      // The namespace is made by the server itself, a moment after it is ready; most tests write into it.
      const healthy = answersHttps(`${server}/readyz`, this.#caFile, this.adminToken);
      const usable = answersHttps(`${server}/api/v1/namespaces/default`, this.#caFile, this.adminToken);
      return this.#part(name, binaries['kube-apiserver'], args, {
        ready: async () => (await healthy()) && (await usable()),
      });
    };
    this.#apiServer = this.#newServer('kube-apiserver', port, options);
    process.once('exit', this.#reap);
  }

  get ca(): string {
    return readFileSync(this.#caFile, 'utf8');
  }

  get adminToken(): string {
    return this.#credentials.admin.token;
  }

  async start(): Promise<void> {
    await this.#etcd.start();
    await this.#apiServer.start();
  }

  tokenFor(user: string, groups: readonly string[] = []): string {
    return this.#users.add(user, groups);
  }

  revoke(token: string): void {
    this.#users.remove(token);
  }

  async addReplica(featureGates: Readonly<Record<string, boolean>>, etcd?: string): Promise<string> {
    const [port = 0] = await freePorts(1);
    const replica = this.#newServer(`kube-apiserver-${this.#replicas.length + 2}`, port, { featureGates }, etcd);
    this.#replicas.push(replica);
    await replica.start();
    return `https://127.0.0.1:${port}`;
  }

  async kill(): Promise<void> {
    await this.#apiServer.kill();
  }

  async restart(): Promise<void> {
    await this.#apiServer.stop();
    await this.#apiServer.start();
  }

  async backup(): Promise<void> {
    await this.#etcd.stop();
    rmSync(this.#backup, { recursive: true, force: true });
    cpSync(this.#data, this.#backup, { recursive: true });
    await this.#etcd.start();
  }

  async restore(): Promise<void> {
    await Promise.all([...this.#replicas, this.#apiServer].map((server) => server.kill()));
    await this.#etcd.kill();
    rmSync(this.#data, { recursive: true, force: true });
    cpSync(this.#backup, this.#data, { recursive: true });
    await this.#etcd.start();
    await Promise.all([...this.#replicas, this.#apiServer].map((server) => server.start()));
  }

  async pause(): Promise<void> {
    await this.#apiServer.pause();
  }

  resume(): void {
    this.#apiServer.resume();
  }

  async stop(): Promise<void> {
    // Nothing here is kept, so no process needs time to end cleanly.
    await Promise.all([...this.#replicas, this.#apiServer].map((server) => server.kill()));
    await this.#etcd.kill();
    await this.#users.stop();
    process.off('exit', this.#reap);
    rmSync(this.folder, { recursive: true, force: true });
  }

  #part(
    name: string,
    executable: string,
    args: readonly string[],
    how: { readonly ready: () => Promise<boolean>; readonly readyTimeoutMs?: number },
  ): ManagedProcess {
    return new ManagedProcess({
      name,
      ...endWithParent(executable, args),
      folder: this.folder,
      logFile: join(this.folder, `${name}.log`),
      ...how,
    });
  }
}

function etcdArgs(data: string, client: string, peer: string): readonly string[] {
  return [
    `--data-dir=${data}`,
    `--listen-client-urls=${client}`,
    `--advertise-client-urls=${client}`,
    `--listen-peer-urls=${peer}`,
    `--initial-advertise-peer-urls=${peer}`,
    `--initial-cluster=default=${peer}`,
    '--unsafe-no-fsync',
    '--log-level=warn',
  ];
}

function apiServerArgs(from: {
  readonly executable: string;
  readonly credentials: Credentials;
  readonly certificates: string;
  readonly port: number;
  readonly etcdUrl: string;
  readonly webhook: string;
  readonly options: ApiServerOptions;
}): readonly string[] {
  const gates = featureGates(from.executable, { ShardedListAndWatch: true, ...from.options.featureGates });
  return [
    `--etcd-servers=${from.etcdUrl}`,
    `--secure-port=${from.port}`,
    '--bind-address=127.0.0.1',
    // The lease reconciler refuses a loopback address; no client reads the Service `kubernetes` here.
    '--advertise-address=127.0.0.1',
    '--endpoint-reconciler-type=none',
    `--cert-dir=${from.certificates}`,
    `--token-auth-file=${from.credentials.tokenFile}`,
    `--authentication-token-webhook-config-file=${from.webhook}`,
    '--authentication-token-webhook-version=v1',
    '--authorization-mode=Node,RBAC',
    '--enable-admission-plugins=NodeRestriction',
    // No controller manager makes ServiceAccounts here, and pods without one would be refused.
    '--disable-admission-plugins=ServiceAccount',
    '--service-account-issuer=https://kubernetes.default.svc',
    `--service-account-key-file=${from.credentials.serviceAccountPublicKey}`,
    `--service-account-signing-key-file=${from.credentials.serviceAccountKey}`,
    '--service-cluster-ip-range=10.96.0.0/16',
    '--shutdown-watch-termination-grace-period=1s',
    ...(gates === '' ? [] : [`--feature-gates=${gates}`]),
    ...(from.options.extraArgs ?? []),
  ];
}

/** The kernel ends the process with this one, however this one ends. */
function endWithParent(executable: string, args: readonly string[]): { executable: string; args: readonly string[] } {
  try {
    return {
      executable: resolveSystemTool('setpriv', 'util-linux'),
      args: ['--pdeathsig', 'KILL', executable, ...args],
    };
  } catch (error) {
    if (error instanceof BinaryMissingError) return { executable, args };
    throw error;
  }
}

const tokenReviewSchema = z.object({ spec: z.object({ token: z.string() }) });

type Users = Map<string, { readonly username: string; readonly groups: readonly string[] }>;

/** Users by token, asked by the API server (webhook token authentication), so that they can come and go at any time. */
class UserDirectory {
  readonly url: string;
  readonly #server: Server;
  readonly #users: Users;

  static async start(): Promise<UserDirectory> {
    const users: Users = new Map();
    const server = createServer((request, response) => {
      readBody(request)
        .then((body) => {
          const user = users.get(tokenReviewSchema.parse(JSON.parse(body)).spec.token);
          const status = user === undefined ? { authenticated: false } : { authenticated: true, user };
          response.setHeader('content-type', 'application/json');
          response.end(JSON.stringify({ apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', status }));
        })
        .catch(() => response.writeHead(400).end());
    });
    const [port = 0] = await freePorts(1);
    await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve));
    server.unref();
    return new UserDirectory(server, `http://127.0.0.1:${port}`, users);
  }

  private constructor(server: Server, url: string, users: Users) {
    this.#server = server;
    this.#users = users;
    this.url = url;
  }

  add(username: string, groups: readonly string[]): string {
    const token = randomBytes(24).toString('base64url');
    this.#users.set(token, { username, groups });
    return token;
  }

  remove(token: string): void {
    this.#users.delete(token);
  }

  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }
}

async function readBody(request: IncomingMessage): Promise<string> {
  let body = '';
  request.setEncoding('utf8');
  for await (const chunk of request) body += String(chunk);
  return body;
}

function webhookKubeconfig(server: string): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'users', cluster: { server } }],
    users: [{ name: 'api-server', user: {} }],
    contexts: [{ name: 'users', context: { cluster: 'users', user: 'api-server' } }],
    'current-context': 'users',
  });
}
