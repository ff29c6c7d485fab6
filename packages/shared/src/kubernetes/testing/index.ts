export { type ServingCertificate, selfSignedCertificate } from './self-signed-certificate.ts';
