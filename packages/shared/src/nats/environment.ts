import { env } from '../runtime/index.ts';
import type { NatsAuth, NatsConnectionConfig, NatsTls } from './connection-options.ts';

const file = () => env.text('a path').optional();

/**
 * Variables that name the files by which a process shows NATS who it is; the same for manager and worker. All files are
 * read again at every connection, and when they change, the connection is made again.
 */
export const natsFileVariables = {
  /** A user's JWT and seed. */
  NATS_CREDENTIALS_FILE: file(),
  /** Seed of a user. */
  NATS_NKEY_FILE: file(),
  /** A token: NATS' own, or that of the pod's ServiceAccount. */
  NATS_TOKEN_FILE: file(),
  /** A user and its password. */
  NATS_USER_FILE: file(),
  NATS_PASSWORD_FILE: file(),
  /** CA bundle for NATS over TLS. */
  NATS_CA_FILE: file(),
  /** Client certificate and its key, for a NATS that asks for one. */
  NATS_CERT_FILE: file(),
  NATS_KEY_FILE: file(),
};

type NatsFiles = Readonly<{ [K in keyof typeof natsFileVariables]?: string | undefined }>;

/** Who a process is to NATS, and whom it trusts, by what the variables say. */
export function natsAccess(files: NatsFiles): Pick<NatsConnectionConfig, 'auth' | 'tls'> {
  const auth = authentication(files);
  const tls: NatsTls = {
    ...(files.NATS_CA_FILE === undefined ? {} : { caFile: files.NATS_CA_FILE }),
    ...(files.NATS_CERT_FILE === undefined ? {} : { certFile: files.NATS_CERT_FILE }),
    ...(files.NATS_KEY_FILE === undefined ? {} : { keyFile: files.NATS_KEY_FILE }),
  };
  return { ...(auth === undefined ? {} : { auth }), ...(Object.keys(tls).length === 0 ? {} : { tls }) };
}

function authentication(files: NatsFiles): NatsAuth | undefined {
  const { NATS_CREDENTIALS_FILE, NATS_NKEY_FILE, NATS_TOKEN_FILE, NATS_USER_FILE, NATS_PASSWORD_FILE } = files;
  if (NATS_CREDENTIALS_FILE !== undefined) return { kind: 'credentials', file: NATS_CREDENTIALS_FILE };
  if (NATS_NKEY_FILE !== undefined) return { kind: 'nkey', seedFile: NATS_NKEY_FILE };
  if (NATS_TOKEN_FILE !== undefined) return { kind: 'token-file', file: NATS_TOKEN_FILE };
  if (NATS_USER_FILE === undefined || NATS_PASSWORD_FILE === undefined) return undefined;
  return { kind: 'user-files', userFile: NATS_USER_FILE, passwordFile: NATS_PASSWORD_FILE };
}
