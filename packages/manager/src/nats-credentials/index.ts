export { makeNatsCredentials } from './command.ts';
export { completed, type Credentials } from './credentials.ts';
