export { type NatsServer, NatsServerMissingError, type NatsServerOptions, startNatsServer } from './nats-server.ts';
