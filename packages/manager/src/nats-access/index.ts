export { NatsAuthenticator } from './authenticator.ts';
export { PodTokens } from './pod-tokens.ts';
