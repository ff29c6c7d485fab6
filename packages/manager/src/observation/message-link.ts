import { errors, type NatsConnection } from '@nats-io/transport-node';

/** What became of a request. `no-responders` is the server's word that nobody listens; `timeout` is only silence. */
export type RequestOutcome =
  | { readonly kind: 'reply'; readonly data: string }
  | { readonly kind: 'no-responders' }
  | { readonly kind: 'timeout' }
  | { readonly kind: 'disconnected'; readonly reason: string };

/** The part of NATS that observation needs, so that its logic can be tried without a server. */
export interface MessageLink {
  /** Never rejects. */
  request(subject: string, data: string, timeoutMs: number): Promise<RequestOutcome>;
  /** Calls back for every message until `signal` aborts; survives reconnects. */
  subscribe(subject: string, onMessage: (subject: string, data: string) => void, signal: AbortSignal): void;
}

/** `MessageLink` on a core NATS connection. */
export function natsMessageLink(connection: NatsConnection): MessageLink {
  return {
    request: async (subject, data, timeoutMs) => {
      try {
        const reply = await connection.request(subject, data, { timeout: timeoutMs });
        return { kind: 'reply', data: reply.string() };
      } catch (error) {
        return requestFailure(error);
      }
    },
    subscribe: (subject, onMessage, signal) => {
      const subscription = connection.subscribe(subject, {
        callback: (error, message) => {
          if (error === null) onMessage(message.subject, message.string());
        },
      });
      signal.addEventListener('abort', () => subscription.unsubscribe(), { once: true });
    },
  };
}

function requestFailure(error: unknown): RequestOutcome {
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
  if (error instanceof errors.NoRespondersError || cause instanceof errors.NoRespondersError) {
    return { kind: 'no-responders' };
  }
  if (error instanceof errors.TimeoutError || cause instanceof errors.TimeoutError) return { kind: 'timeout' };
  return { kind: 'disconnected', reason: error instanceof Error ? error.message : String(error) };
}
