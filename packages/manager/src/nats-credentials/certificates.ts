import { generateKeyPairSync, randomBytes, X509Certificate } from 'node:crypto';
import forge from 'node-forge';

/** PEM. */
export interface Certificate {
  readonly certificate: string;
  readonly key: string;
}

const YEAR_MS = 365 * 24 * 3600 * 1000;
const LIFE_YEARS = 10;
/** A certificate is replaced when less than this is left of it. ms. */
export const RENEWAL_MS = 3 * YEAR_MS;

/** A certificate authority of its own for one installation, valid for ten years. */
export function authority(nowMs: number): Certificate {
  const { publicKey, privateKey } = rsaKeys();
  const subject = [{ shortName: 'CN', value: 'shard-controller NATS' }];
  const certificate = unsigned(publicKey, subject, subject, nowMs);
  certificate.setExtensions([
    { name: 'basicConstraints', cA: true, critical: true },
    { name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true },
  ]);
  return signed(certificate, privateKey, privateKey);
}

/** A certificate of the NATS servers: for clients, and for each other. */
export function serverCertificate(ca: Certificate, names: readonly string[], nowMs: number): Certificate {
  const { publicKey, privateKey } = rsaKeys();
  const issuer = forge.pki.certificateFromPem(ca.certificate).subject.attributes;
  const certificate = unsigned(publicKey, [{ shortName: 'CN', value: 'nats' }], issuer, nowMs);
  certificate.setExtensions([
    { name: 'basicConstraints', cA: false, critical: true },
    { name: 'keyUsage', digitalSignature: true, keyEncipherment: true, critical: true },
    { name: 'extKeyUsage', serverAuth: true, clientAuth: true },
    { name: 'subjectAltName', altNames: names.map(alternativeName) },
  ]);
  return signed(certificate, privateKey, ca.key);
}

/** Whether a certificate is for all of the names, is signed by the authority, and is valid for long. */
export function isGood(
  { certificate, key }: Certificate,
  ca: string,
  names: readonly string[],
  nowMs: number,
): boolean {
  try {
    const seen = new X509Certificate(certificate);
    const issuer = new X509Certificate(ca);
    const covers = (name: string): boolean =>
      (isAddress(name) ? seen.checkIP(name) : seen.checkHost(name.replace('*', 'any'))) !== undefined;
    const isLasting = seen.validToDate.getTime() - nowMs > RENEWAL_MS;
    return key !== '' && isLasting && names.every(covers) && seen.checkIssued(issuer) && seen.verify(issuer.publicKey);
  } catch {
    return false;
  }
}

/** By Node, in a tenth of the time. */
function rsaKeys(): { readonly publicKey: string; readonly privateKey: string } {
  return generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
  });
}

function unsigned(
  publicKey: string,
  subject: forge.pki.CertificateField[],
  issuer: forge.pki.CertificateField[],
  nowMs: number,
): forge.pki.Certificate {
  const certificate = forge.pki.createCertificate();
  certificate.publicKey = forge.pki.publicKeyFromPem(publicKey);
  // Positive, whatever the random bytes say.
  certificate.serialNumber = `01${randomBytes(15).toString('hex')}`;
  certificate.validity.notBefore = new Date(nowMs - 3600 * 1000);
  certificate.validity.notAfter = new Date(nowMs + LIFE_YEARS * YEAR_MS);
  certificate.setSubject(subject);
  certificate.setIssuer(issuer);
  return certificate;
}

function signed(certificate: forge.pki.Certificate, key: string, by: string): Certificate {
  certificate.sign(forge.pki.privateKeyFromPem(by), forge.md.sha256.create());
  return { certificate: forge.pki.certificateToPem(certificate), key };
}

const isAddress = (name: string): boolean => /^[0-9.]+$|:/.test(name);

/** RFC 5280: 2 is a DNS name, 7 an address. */
const alternativeName = (name: string) => (isAddress(name) ? { type: 7, ip: name } : { type: 2, value: name });
