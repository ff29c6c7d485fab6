import { createAccount, createUser, fromSeed, type KeyPair } from '@nats-io/nkeys';
import { authority, type Certificate, isGood, RENEWAL_MS, serverCertificate } from './certificates.ts';
import { X509Certificate } from 'node:crypto';
import { serverUsers } from './server-users.ts';

/** Content of the Secrets by their keys, as text. */
export interface Credentials {
  /** For NATS alone. */
  readonly server: Content;
  /** For managers alone. */
  readonly manager: Content;
  /** For people who look. */
  readonly inspector: Content;
  /** For all who connect. */
  readonly ca: Content;
}

type Content = Readonly<Record<string, string>>;

export interface Wanted {
  /** Account of NATS that everything is in. */
  readonly account: string;
  /** Names and addresses of the servers. */
  readonly names: readonly string[];
  readonly nowMs: number;
}

/** What is there, made whole: keys that exist stay, so that it changes nothing where it ran before. */
export function completed(present: Credentials, { account, names, nowMs }: Wanted): Credentials {
  const issuer = keyPair(present.manager['issuer.nk'], 'A', createAccount);
  const manager = keyPair(present.manager['nats.nk'], 'U', createUser);
  const inspector = keyPair(present.inspector['nats.nk'], 'U', createUser);
  const {
    'ca.crt': caText = '',
    'ca.key': caKey = '',
    'tls.crt': certificate = '',
    'tls.key': key = '',
  } = present.server;
  const kept = { certificate: caText, key: caKey };
  const ca: Certificate = isLastingAuthority(kept, nowMs) ? kept : authority(nowMs);
  const own = { certificate, key };
  const server = isGood(own, ca.certificate, names, nowMs) ? own : serverCertificate(ca, names, nowMs);
  const publicKeys = {
    issuer: issuer.getPublicKey(),
    manager: manager.getPublicKey(),
    inspector: inspector.getPublicKey(),
  };
  return {
    server: {
      'ca.crt': ca.certificate,
      'ca.key': ca.key,
      'tls.crt': server.certificate,
      'tls.key': server.key,
      'users.conf': serverUsers({ account, ...publicKeys }),
    },
    manager: { 'issuer.nk': seed(issuer), 'nats.nk': seed(manager) },
    inspector: { 'nats.nk': seed(inspector) },
    ca: { 'ca.crt': ca.certificate },
  };
}

/** The pair of a seed, if it is one of this kind; else a new one. */
function keyPair(text: string | undefined, kind: 'A' | 'U', make: () => KeyPair): KeyPair {
  try {
    const pair = fromSeed(new TextEncoder().encode(text?.trim()));
    if (pair.getPublicKey().startsWith(kind)) return pair;
  } catch {
    // No seed.
  }
  return make();
}

const seed = (pair: KeyPair): string => new TextDecoder().decode(pair.getSeed());

function isLastingAuthority({ certificate, key }: Certificate, nowMs: number): boolean {
  try {
    const seen = new X509Certificate(certificate);
    return seen.ca && key !== '' && seen.validToDate.getTime() - nowMs > RENEWAL_MS;
  } catch {
    return false;
  }
}
