import type { NatsLink } from '@shard-controller/shared/nats';

/** The part of NATS that observation needs, so that its logic can be tried without a server. */
export type MessageLink = Pick<NatsLink, 'request' | 'subscribe'>;
