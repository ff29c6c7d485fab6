/**
 * The log holds an event, or a decision format, that this version of the manager does not know. It must not decide on
 * a state it cannot fold.
 * @remedy run the version of the manager that wrote it, or a later one.
 */
export class UnknownEventError extends Error {
  override readonly name = 'UnknownEventError';
  readonly code = 'SC_EVENT_UNKNOWN';
  readonly type: string;
  readonly subject: string;
  readonly sequence: number;

  constructor(type: string, subject: string, sequence: number) {
    super(
      `${subject} holds "${type}" at sequence ${sequence}, which this manager does not know: it was written by a newer ` +
        'version; run that version or a later one',
    );
    this.type = type;
    this.subject = subject;
    this.sequence = sequence;
  }
}

/**
 * An event of a known type does not have the fields of that type.
 * @remedy attach the output of `nats stream get` for the named sequence to a report.
 */
export class InvalidEventError extends Error {
  override readonly name = 'InvalidEventError';
  readonly code = 'SC_EVENT_INVALID';
  readonly type: string;
  readonly subject: string;
  /** Undefined for an event that was about to be written. */
  readonly sequence: number | undefined;

  constructor(type: string, subject: string, sequence: number | undefined, problem: string) {
    const where = sequence === undefined ? `not written to ${subject}` : `at sequence ${sequence} of ${subject}`;
    super(
      `event "${type}" ${where} is invalid: ${problem}. Report this as a bug and attach the output of ` +
        '`nats stream get`; the workers keep serving',
    );
    this.type = type;
    this.subject = subject;
    this.sequence = sequence;
  }
}
