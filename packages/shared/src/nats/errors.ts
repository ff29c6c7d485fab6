/** Base of everything this folder throws; `code` is stable. */
export class NatsError extends Error {
  override readonly name: string = 'NatsError';
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/**
 * The options of a connection contradict each other or name a file that cannot be read.
 * @remedy correct the NATS settings in the environment.
 */
export class NatsConfigError extends NatsError {
  override readonly name = 'NatsConfigError';

  constructor(message: string, options?: ErrorOptions) {
    super('SC_NATS_CONFIG', message, options);
  }
}

/**
 * The server is too old: it would drop settings and expectations silently instead of refusing them.
 * @remedy upgrade nats-server.
 */
export class NatsVersionError extends NatsError {
  override readonly name = 'NatsVersionError';
  readonly server: string;
  readonly version: string;

  constructor(server: string, version: string, minimum: string) {
    super(
      'SC_NATS_VERSION',
      `NATS server ${server} has version ${version}, but ${minimum} or newer is needed (older ones ignore stream ` +
        'settings and write conditions without an error): upgrade nats-server',
    );
    this.server = server;
    this.version = version;
  }
}

/**
 * No usable answer from NATS now; nothing is known to be wrong with the request. Ask again later.
 * @remedy check NATS_URL and that nats-server runs there; it is tried again until NATS answers.
 */
export class NatsUnavailableError extends NatsError {
  override readonly name = 'NatsUnavailableError';

  constructor(message: string, options?: ErrorOptions) {
    super('SC_NATS_UNAVAILABLE', message, options);
  }
}

/**
 * The stream is not there, or no stream covers the subject.
 * @remedy switch JetStream on; a deleted stream is re-created by the manager.
 */
export class StreamMissingError extends NatsError {
  override readonly name = 'StreamMissingError';
  readonly stream: string;

  constructor(stream: string, options?: ErrorOptions) {
    super(
      'SC_STREAM_MISSING',
      `JetStream stream ${stream} does not exist or does not cover the subject: the manager creates it at its start; ` +
        'check that nats-server runs with JetStream enabled (-js) and that no client deleted the stream',
      options,
    );
    this.stream = stream;
  }
}

/**
 * The server keeps another stream configuration than the one asked for.
 * @remedy change or delete the stream that the message names.
 */
export class StreamConfigError extends NatsError {
  override readonly name = 'StreamConfigError';
  readonly stream: string;
  readonly differences: readonly string[];

  constructor(stream: string, differences: readonly string[], options?: ErrorOptions) {
    super(
      'SC_STREAM_CONFIG',
      `JetStream stream ${stream} cannot be used, because the server holds it with other settings: ${differences.join('; ')}. ` +
        'Compare with `nats stream info`, and upgrade the server or correct the stream',
      options,
    );
    this.stream = stream;
    this.differences = differences;
  }
}

/**
 * A message would pass the size bound. A decision that is too large has to be made as several smaller ones.
 * @remedy this is a defect: report it with the log of the process.
 */
export class MessageTooLargeError extends NatsError {
  override readonly name = 'MessageTooLargeError';
  readonly subject: string;
  readonly bytes: number;

  constructor(subject: string, bytes: number, limit: number) {
    super(
      'SC_MESSAGE_TOO_LARGE',
      `a message of ${bytes} bytes for ${subject} exceeds the limit of ${limit} bytes: split it (a decision: fewer ` +
        'migrations or slots at a time, each part appended and folded before the next)',
    );
    this.subject = subject;
    this.bytes = bytes;
  }
}
