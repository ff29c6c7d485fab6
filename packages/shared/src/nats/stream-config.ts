import {
  DiscardPolicy,
  JetStreamApiError,
  RetentionPolicy,
  StorageType,
  type StreamConfig,
  type StreamInfo,
} from '@nats-io/jetstream';
import { StreamConfigError } from './errors.ts';
import { unavailable } from './jetstream-error.ts';
import type { NatsLink } from './link.ts';
import { type StreamFacts, streamFacts } from './stream-facts.ts';

/** A stream as we want it: only these settings are compared and changed, the rest is the operator's. */
export type WantedStream = Partial<StreamConfig> & Pick<StreamConfig, 'name' | 'subjects'>;

export interface StreamShape {
  readonly name: string;
  /** All below `shard.`. */
  readonly subjects: readonly string[];
  /** Copies; 3 across zones in a cluster of NATS servers. Default 1. */
  readonly replicas?: number;
}

/** Prefix under which the server tells (headers only) that a message has been stored. */
const STORED = 'shard.stored.';

/** Subject of the notice that a message on `subject` has been stored. `subject` may hold wildcards. */
export const storedSubject = (subject: string): string => `${STORED}${subject.replace(/^shard\./, '')}`;

/** Room for headers (message id, expectations) on top of the 64 KiB of a message. */
const MAX_STORED_BYTES = 66 * 1024;
const MINUTE_NS = 60 * 1_000_000_000;

function common(shape: StreamShape): WantedStream {
  return {
    name: shape.name,
    subjects: [...shape.subjects],
    storage: StorageType.File,
    retention: RetentionPolicy.Limits,
    num_replicas: shape.replicas ?? 1,
    max_msg_size: MAX_STORED_BYTES,
    max_age: 0,
    allow_direct: true,
    duplicate_window: 2 * MINUTE_NS,
    republish: { src: 'shard.>', dest: `${STORED}>`, headers_only: true },
  };
}

/** A log: nothing is ever deleted, and when the disk is full new messages are refused rather than old ones dropped. */
export const appendOnlyStream = (shape: StreamShape): WantedStream => ({
  ...common(shape),
  discard: DiscardPolicy.New,
  deny_delete: true,
  deny_purge: true,
});

/** Only the newest message of each subject is kept. */
export const lastValueStream = (shape: StreamShape): WantedStream => ({
  ...common(shape),
  discard: DiscardPolicy.Old,
  max_msgs_per_subject: 1,
});

function entries(value: unknown): [string, unknown][] {
  return typeof value === 'object' && value !== null ? Object.entries(value) : [];
}

/** What the server does not hold as asked, one sentence each; empty when all is well. */
export function configDifferences(wanted: WantedStream, held: Partial<StreamConfig>): string[] {
  const actual = new Map(entries(held));
  const differences: string[] = [];
  for (const [key, value] of entries(wanted)) {
    const echoed = actual.get(key);
    if (canonical(value) === canonical(echoed)) continue;
    differences.push(`${key} is ${echoed === undefined ? 'not set' : canonical(echoed)}, wanted ${canonical(value)}`);
  }
  return differences;
}

/** JSON with sorted keys. */
function canonical(value: unknown): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'undefined';
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  const sorted = entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return `{${sorted.map(([key, inner]) => `${JSON.stringify(key)}:${canonical(inner)}`).join(',')}}`;
}

/** What `ensureStream` found or made. */
export interface EnsuredStream extends StreamFacts {
  /** `created`: it was not there; `updated`: it had other settings; `unchanged`. */
  readonly outcome: 'created' | 'updated' | 'unchanged';
}

/**
 * Creates the stream, or brings its settings to the wanted ones (more copies than wanted are left), and checks what the server says it holds: a server
 * that drops a setting answers without an error.
 * @throws NatsUnavailableError when NATS cannot be asked now
 * @throws StreamConfigError (SC_STREAM_CONFIG) when the server refuses or drops a setting
 */
export async function ensureStream(link: NatsLink, least: WantedStream): Promise<EnsuredStream> {
  const { jsm } = link.session();
  const existing = await streamInfo(link, least.name);
  const wanted = withCopiesOf(least, existing?.config);
  let info = existing;
  let outcome: EnsuredStream['outcome'] = 'unchanged';
  try {
    if (info === undefined) {
      info = await jsm.streams.add(wanted);
      outcome = 'created';
    } else if (configDifferences(wanted, info.config).length > 0) {
      info = await jsm.streams.update(wanted.name, { ...info.config, ...wanted });
      outcome = 'updated';
    }
  } catch (error) {
    if (!(error instanceof JetStreamApiError)) throw unavailable(error, `stream ${wanted.name} could not be set up`);
    const differences = existing === undefined ? [] : configDifferences(wanted, existing.config);
    throw new StreamConfigError(wanted.name, [error.message, ...differences], { cause: error });
  }
  const differences = configDifferences(wanted, info.config);
  if (differences.length > 0) throw new StreamConfigError(wanted.name, differences);
  if (outcome !== 'unchanged')
    link.logger.info({ stream: wanted.name, outcome, created: info.created }, 'JetStream stream ready');
  return { ...streamFacts(info), outcome };
}

/** Copies that an operator has added are never taken away: a restart must not make a log less safe. */
export function withCopiesOf(wanted: WantedStream, held: Partial<StreamConfig> | undefined): WantedStream {
  const num_replicas = Math.max(wanted.num_replicas ?? 1, held?.num_replicas ?? 1);
  return wanted.num_replicas === num_replicas ? wanted : { ...wanted, num_replicas };
}

async function streamInfo(link: NatsLink, name: string): Promise<StreamInfo | undefined> {
  try {
    return await link.session().jsm.streams.info(name);
  } catch (error) {
    if (error instanceof JetStreamApiError && error.code === 10059) return undefined;
    throw unavailable(error, `stream ${name} could not be looked up`);
  }
}
