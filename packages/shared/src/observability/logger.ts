import { type DestinationStream, type Logger as PinoLogger, pino, stdTimeFunctions } from 'pino';

export type Logger = PinoLogger;

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Fields whose value never belongs into a log, at the top level and one level below. */
const SECRET_FIELDS = ['token', 'authorization', 'Authorization', 'password', 'secret'] as const;
const SECRET_PATHS = SECRET_FIELDS.flatMap((field) => [field, `*.${field}`, `*.headers.${field}`]);

const MASK = '[redacted]';

/** Bearer credentials, JSON Web Tokens (a ServiceAccount's token is one) and passwords in URLs, wherever they stand. */
const SECRET_TEXTS: readonly (readonly [RegExp, string])[] = [
  [/\bBearer\s+[\w.~+/=-]{8,}/gi, `Bearer ${MASK}`],
  [/\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*/g, MASK],
  [/(\b[a-z][a-z0-9+.-]*:\/\/)[^\s/@"]+@/gi, `$1${MASK}@`],
];

function mask(line: string): string {
  let masked = line;
  for (const [pattern, replacement] of SECRET_TEXTS) masked = masked.replace(pattern, replacement);
  return masked;
}

export interface LoggerOptions {
  /** The process or part that speaks, field `component` of each line. */
  readonly name: string;
  readonly level?: LogLevel;
  /** Where lines go; standard output when absent. */
  readonly destination?: DestinationStream;
}

/**
 * Structured JSON log, one object a line: `{"level":"info","time":"2026-01-01T00:00:00.000Z","component":…,"msg":…}`.
 * Tokens are masked by field name and by their form.
 */
export function createLogger({ name, level = 'info', destination }: LoggerOptions): Logger {
  const options = {
    level,
    base: { component: name },
    timestamp: stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    redact: { paths: SECRET_PATHS, censor: MASK },
    hooks: { streamWrite: mask },
  };
  // Synchronous: a process that ends must not lose its last line, nor write it before the one in flight.
  return pino(options, destination ?? pino.destination({ dest: 1, sync: true }));
}
