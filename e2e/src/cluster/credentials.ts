import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** A user of the static token file: the harness itself, the stock components and the process nodes. */
export interface StaticUser {
  readonly name: string;
  readonly groups: readonly string[];
  readonly token: string;
}

/** Names under which the stock components are known to the API server's built-in RBAC. */
const CONTROLLER_MANAGER_USER = 'system:kube-controller-manager';
const SCHEDULER_USER = 'system:kube-scheduler';
export const KWOK_USER = 'kwok';
const ADMIN_USER = 'shard-controller-harness';

/** Secrets of one cluster; files are readable by the owner only. */
export interface Credentials {
  readonly admin: StaticUser;
  readonly controllerManager: StaticUser;
  readonly scheduler: StaticUser;
  readonly kwok: StaticUser;
  /** By node name. A credential of a node may register that node only (NodeRestriction). */
  readonly nodes: ReadonlyMap<string, StaticUser>;
  readonly tokenFile: string;
  readonly serviceAccountKey: string;
  readonly serviceAccountPublicKey: string;
}

export function makeCredentials(folder: string, nodeNames: readonly string[]): Credentials {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const user = (name: string, ...groups: string[]): StaticUser => ({
    name,
    groups,
    token: randomBytes(24).toString('base64url'),
  });
  const admin = user(ADMIN_USER, 'system:masters');
  const controllerManager = user(CONTROLLER_MANAGER_USER);
  const scheduler = user(SCHEDULER_USER);
  const kwok = user(KWOK_USER);
  const nodes = new Map(nodeNames.map((name) => [name, user(`system:node:${name}`, 'system:nodes')]));
  const tokenFile = join(folder, 'tokens.csv');
  const lines = [admin, controllerManager, scheduler, kwok, ...nodes.values()].map(tokenLine);
  writeFileSync(tokenFile, `${lines.join('\n')}\n`, { mode: 0o600 });

  const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const serviceAccountKey = join(folder, 'service-account.key');
  const serviceAccountPublicKey = join(folder, 'service-account.pub');
  writeFileSync(serviceAccountKey, pair.privateKey.export({ type: 'sec1', format: 'pem' }), { mode: 0o600 });
  writeFileSync(serviceAccountPublicKey, pair.publicKey.export({ type: 'spki', format: 'pem' }));
  return { admin, controllerManager, scheduler, kwok, nodes, tokenFile, serviceAccountKey, serviceAccountPublicKey };
}

/** Columns of the API server's static token file: token, user, uid, groups. */
function tokenLine(user: StaticUser): string {
  const groups = user.groups.length === 0 ? '' : `,"${user.groups.join(',')}"`;
  return `${user.token},"${user.name}","${user.name}"${groups}`;
}

export interface KubeconfigOptions {
  readonly server: string;
  readonly caPem: string;
  readonly token: string;
  /** Needed where the certificate does not name the address that is dialled (the forwarder on 127.0.0.1). */
  readonly tlsServerName?: string;
  readonly context?: string;
}

/** JSON is YAML, so kubectl and client-go read it as it is. */
export function kubeconfig(options: KubeconfigOptions): string {
  const name = options.context ?? 'shard-controller';
  return `${JSON.stringify(
    {
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [
        {
          name,
          cluster: {
            server: options.server,
            'certificate-authority-data': Buffer.from(options.caPem).toString('base64'),
            ...(options.tlsServerName === undefined ? {} : { 'tls-server-name': options.tlsServerName }),
          },
        },
      ],
      users: [{ name, user: { token: options.token } }],
      contexts: [{ name, context: { cluster: name, user: name } }],
      'current-context': name,
    },
    null,
    2,
  )}\n`;
}
