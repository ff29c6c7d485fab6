import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { checkServerIdentity, type ConnectionOptions } from 'node:tls';
import {
  type Authenticator,
  credsAuthenticator,
  type NodeConnectionOptions,
  nkeyAuthenticator,
} from '@nats-io/transport-node';
import { NatsConfigError } from './errors.ts';

/** Who we are to NATS; files are read again at every connection attempt, so rotated credentials are taken up. */
export type NatsAuth =
  | { readonly kind: 'none' }
  | { readonly kind: 'token'; readonly token: string }
  | { readonly kind: 'token-file'; readonly file: string }
  | { readonly kind: 'user'; readonly user: string; readonly password: string }
  | { readonly kind: 'user-files'; readonly userFile: string; readonly passwordFile: string }
  | { readonly kind: 'nkey'; readonly seedFile: string }
  | { readonly kind: 'credentials'; readonly file: string };

/** TLS by files (PEM). A URL with `tls://` asks for TLS even without these. */
export interface NatsTls {
  readonly caFile?: string;
  readonly certFile?: string;
  readonly keyFile?: string;
}

/** Everything about the connection that an operator sets. */
export interface NatsConnectionConfig {
  /** One or several `nats://host:port`, also comma-separated. */
  readonly servers: string | readonly string[];
  /** Shown by `nats server report connections`. */
  readonly name: string;
  readonly auth?: NatsAuth;
  readonly tls?: NatsTls;
  /** Last part of the subjects on which answers to this client come in, `_INBOX.<inbox>.…`; any by default. */
  readonly inbox?: string;
  /** A dial that takes longer has failed, ms. Default 2000. */
  readonly connectTimeoutMs?: number;
  /** Interval of pings; two without an answer are a dead connection, ms. Default 2000. */
  readonly pingIntervalMs?: number;
}

/** @throws NatsConfigError (SC_NATS_CONFIG) naming the file and the setting. */
function readCredentials(path: string, setting: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new NatsConfigError(`${setting}: cannot read ${path}: check the path and the mounted secret`, { cause });
  }
}

function authentication(auth: NatsAuth): Partial<NodeConnectionOptions> {
  if (auth.kind === 'token') return { token: auth.token };
  if (auth.kind === 'token-file') return { token: text(readCredentials(auth.file, 'NATS token file')) };
  if (auth.kind === 'user') return { user: auth.user, pass: auth.password };
  if (auth.kind === 'user-files') {
    const user = text(readCredentials(auth.userFile, 'NATS user file'));
    return { user, pass: text(readCredentials(auth.passwordFile, 'NATS password file')) };
  }
  if (auth.kind === 'credentials') {
    return {
      authenticator: guarded(credsAuthenticator(readCredentials(auth.file, 'NATS credentials file')), auth.file),
    };
  }
  if (auth.kind === 'nkey') {
    const seed = text(readCredentials(auth.seedFile, 'NATS nkey seed file'));
    return { authenticator: guarded(nkeyAuthenticator(new TextEncoder().encode(seed)), auth.seedFile) };
  }
  return {};
}

const text = (content: Uint8Array): string => new TextDecoder().decode(content).trim();

/** A malformed seed shows only when the server sends its nonce; name the file then. */
function guarded(authenticator: Authenticator, file: string): Authenticator {
  return (nonce) => {
    try {
      return authenticator(nonce);
    } catch (cause) {
      throw new NatsConfigError(`${file} contains no usable NATS key: create one with nsc or nk`, { cause });
    }
  };
}

/** Credentials in a URL (`nats://user:password@host`, `nats://token@host`), which the client library would ignore. */
function authenticationInUrl(server: string): NatsAuth {
  const [, user, password] = /^[a-z]+:\/\/([^:@/]+)(?::([^@/]*))?@/.exec(server) ?? [];
  if (user === undefined) return { kind: 'none' };
  if (password === undefined) return { kind: 'token', token: decodeURIComponent(user) };
  return { kind: 'user', user: decodeURIComponent(user), password: decodeURIComponent(password) };
}

/** Names the content of all files that a connection is made with, except for a token: the one of a pod changes every hour. */
export function credentialsDigest({ auth, tls }: NatsConnectionConfig): string {
  const files = [...Object.values(tls ?? {}), ...secretFiles(auth)];
  const hash = createHash('sha256');
  for (const file of files) hash.update(readCredentials(String(file), 'NATS credentials')).update('\0');
  return hash.digest('hex');
}

function secretFiles(auth: NatsAuth | undefined): readonly string[] {
  if (auth?.kind === 'credentials') return [auth.file];
  if (auth?.kind === 'nkey') return [auth.seedFile];
  return auth?.kind === 'user-files' ? [auth.userFile, auth.passwordFile] : [];
}

export function serverList(servers: string | readonly string[]): string[] {
  const list = typeof servers === 'string' ? servers.split(',') : [...servers];
  const trimmed = list.map((server) => server.trim()).filter((server) => server !== '');
  if (trimmed.length === 0) throw new NatsConfigError('no NATS server given: set NATS_URL to nats://host:4222');
  return trimmed;
}

/**
 * The library checks a certificate for `localhost` where the server's URL has an address. Then the certificate has to be
 * that of one of the addresses.
 */
function identityCheck(servers: readonly string[]): Pick<ConnectionOptions, 'checkServerIdentity'> {
  const hosts = servers.map((server) => new URL(server).hostname.replace(/^\[|\]$/g, ''));
  const addresses = hosts.filter((host) => isIP(host) !== 0);
  if (addresses.length === 0) return {};
  return {
    checkServerIdentity: (host, certificate) => {
      const names = hosts.includes(host) ? [host] : addresses;
      const problems = names.map((name) => checkServerIdentity(name, certificate));
      return problems.includes(undefined) ? undefined : problems[0];
    },
  };
}

/** Options of one connection; reconnecting is the link's own business. */
export function connectionOptions(config: NatsConnectionConfig): NodeConnectionOptions {
  const tls = config.tls;
  for (const [setting, file] of Object.entries(tls ?? {})) readCredentials(String(file), `NATS TLS ${setting}`);
  const servers = serverList(config.servers);
  return {
    servers: servers.map((server) => server.replace(/^([a-z]+:\/\/)[^@/]*@/, '$1')),
    name: config.name,
    timeout: config.connectTimeoutMs ?? 2000,
    pingInterval: config.pingIntervalMs ?? 2000,
    maxPingOut: 2,
    reconnect: false,
    ...authentication(config.auth ?? authenticationInUrl(servers[0] ?? '')),
    ...(config.inbox === undefined ? {} : { inboxPrefix: `_INBOX.${config.inbox}` }),
    ...(tls === undefined ? {} : { tls: { ...tls, ...identityCheck(servers) } }),
  };
}
