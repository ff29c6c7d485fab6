export type { AppendResult } from './append.ts';
export type { NatsAuth, NatsConnectionConfig, NatsTls } from './connection-options.ts';
export { natsAccess, natsFileVariables } from './environment.ts';
export {
  MessageTooLargeError,
  NatsConfigError,
  NatsError,
  NatsUnavailableError,
  NatsVersionError,
  StreamConfigError,
  StreamMissingError,
} from './errors.ts';
export { EventStream, type EventStreamOptions, type ReplayOptions, type StreamFollowOptions } from './event-stream.ts';
export { LastValueStream, type LastValueStreamOptions, type WatchOptions } from './last-value-stream.ts';
export { connectNats, NatsLink } from './link.ts';
export type {
  LinkCounters,
  LinkStatus,
  NatsLinkOptions,
  NatsLogger,
  NatsMessage,
  NatsSubscription,
  PublishResult,
  RequestResult,
  SubscriptionOptions,
} from './link-types.ts';
export { encodeMessage, fitsMessage, MAX_MESSAGE_BYTES, type Parsed, parseMessage } from './message.ts';
export { serviceErrorHeaders } from './service-error.ts';
export type { StoredRecord } from './stored-record.ts';
export {
  appendOnlyStream,
  configDifferences,
  type EnsuredStream,
  ensureStream,
  lastValueStream,
  storedSubject,
  type StreamShape,
  type WantedStream,
} from './stream-config.ts';
export type { StreamFacts } from './stream-facts.ts';
export type { FollowOptions, StreamReset } from './stream-follower.ts';
