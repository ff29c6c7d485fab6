export { FakeApiServer, sendStatus } from './fake-api-server.ts';
export { type ServingCertificate, selfSignedCertificate } from './self-signed-certificate.ts';
