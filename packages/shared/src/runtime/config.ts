import { z } from 'zod';
import { DurationError, formatGoDuration, parseGoDuration } from './go-duration.ts';

/** The environment of a process, as `process.env` is. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** One variable that is missing or wrong. */
export interface ConfigProblem {
  readonly variable: string;
  /** What was given, masked when the name says that it is a secret; undefined when the variable is not set. */
  readonly given: string | undefined;
  readonly expected: string;
}

/** The path of a file with a secret is none. */
const SECRET_NAME = /(?:TOKEN|PASSWORD|SECRET|CREDENTIAL|PRIVATE)(?!.*_FILE$)/;
const URL_PASSWORD = /\/\/[^\s/@]+@/g;

/**
 * The environment does not fit; the message lists every problem at once.
 * @remedy correct the variables that the message names.
 */
export class ConfigError extends Error {
  readonly code = 'SC_CONFIG';
  override readonly name = 'ConfigError';
  readonly problems: readonly ConfigProblem[];
  constructor(problems: readonly ConfigProblem[]) {
    const list = problems.map(({ variable, given, expected }) => {
      const what = given === undefined ? 'is not set' : `is ${JSON.stringify(shortened(given))}`;
      return `${variable} ${what}, expected ${expected}`;
    });
    super(`${problems.length} configuration problem${problems.length === 1 ? '' : 's'}: ${list.join('; ')}`);
    this.problems = problems;
  }
}

/** The beginning of a long value is enough to find it. */
const shortened = (value: string): string => (value.length <= 200 ? value : `${value.slice(0, 200)}…`);

/**
 * Reads a process's configuration. Unknown variables are ignored and empty ones count as not set, because a pod
 * template writes an empty string where it has nothing to say.
 *
 * @throws ConfigError listing all problems
 */
export function parseConfig<S extends z.ZodObject>(schema: S, env: Environment): Readonly<z.output<S>> {
  const given: Record<string, string> = {};
  for (const variable of Object.keys(schema.shape)) {
    const value = env[variable];
    if (value !== undefined && value !== '') given[variable] = value;
  }
  const result = schema.safeParse(given);
  if (result.success) return Object.freeze(result.data);
  throw new ConfigError(result.error.issues.map((issue) => problemOf(issue, given)));
}

function problemOf(issue: z.core.$ZodIssue, given: Readonly<Record<string, string>>): ConfigProblem {
  const variable = issue.path.length === 0 ? '(environment)' : String(issue.path[0]);
  const value = given[variable];
  return {
    variable,
    given: SECRET_NAME.test(variable) && value !== undefined ? '***' : value?.replace(URL_PASSWORD, '//***@'),
    expected: issue.message.replace(/^expected /, ''),
  };
}

function text(expected: string) {
  return z.string({ error: `expected ${expected}` });
}

/**
 * Types of environment variables. `.default(…)` and `.optional()` follow with the parsed value: `env.duration().default(2000)`.
 */
export const env = {
  /** Any text that is not empty, of at most `longest` characters. */
  text: (expected = 'a text', longest = 4096) =>
    text(expected).min(1).max(longest, `expected ${expected} of at most ${longest} characters`),

  /** A whole number between two bounds, both inclusive. */
  integer: (min: number, max: number) => {
    const expected = `a whole number from ${min} to ${max}`;
    return text(expected).transform((value, context) => {
      const number = /^-?[0-9]{1,15}$/.test(value) ? Number(value) : Number.NaN;
      if (number >= min && number <= max) return number;
      context.addIssue(`expected ${expected}`);
      return z.NEVER;
    });
  },

  port: () => env.integer(0, 65_535),

  /** `true` or `false`. */
  boolean: () =>
    text('true or false').transform((value, context) => {
      if (value === 'true' || value === 'false') return value === 'true';
      context.addIssue('expected true or false');
      return z.NEVER;
    }),

  /** A Go duration between two bounds in ms, both inclusive; gives ms. */
  duration: (minMs = 0, maxMs = 86_400_000) => {
    const expected = `a duration from ${formatGoDuration(minMs)} to ${formatGoDuration(maxMs)}, like 500ms, 30s or 5m`;
    return text(expected).transform((value, context) => {
      const ms = durationMs(value);
      if (ms !== undefined && ms >= minMs && ms <= maxMs) return ms;
      context.addIssue(`expected ${expected}`);
      return z.NEVER;
    });
  },

  /** One of a few words. */
  oneOf: <const T extends readonly [string, ...string[]]>(words: T) =>
    z.enum(words, { error: `expected one of ${words.join(', ')}` }),

  /** URLs of the given schemes, separated by commas; without a trailing slash. */
  urls: (schemes: readonly [string, ...string[]]) => {
    const expected = `one or more URLs (${schemes.map((scheme) => `${scheme}://host:port`).join(' or ')}), separated by commas`;
    return text(expected).transform((value, context): readonly string[] => {
      const urls = value.split(',').map((url) => url.trim().replace(/\/$/, ''));
      if (urls.every((url) => isUrl(url, schemes))) return urls;
      context.addIssue(`expected ${expected}`);
      return z.NEVER;
    });
  },
} as const;

function durationMs(value: string): number | undefined {
  try {
    return parseGoDuration(value);
  } catch (error) {
    if (error instanceof DurationError) return undefined;
    throw error;
  }
}

function isUrl(url: string, schemes: readonly string[]): boolean {
  const parsed = URL.parse(url);
  return parsed !== null && parsed.hostname !== '' && schemes.includes(parsed.protocol.slice(0, -1));
}
