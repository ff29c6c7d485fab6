/** Exit codes of `kubectl shard`. */
export const EXIT = {
  ok: 0,
  /** The question was answered, and the answer is no: not Ready, a check failed, something is missing. */
  no: 1,
  /** The command line is wrong. */
  usage: 2,
  /** The cluster or the manager cannot be asked. */
  unreachable: 3,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** Something that the user can mend: one sentence, and what to do. */
export class CliError extends Error {
  override readonly name = 'CliError';
  readonly exitCode: ExitCode;

  constructor(exitCode: ExitCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.exitCode = exitCode;
  }
}
