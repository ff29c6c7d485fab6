import { stringify } from 'yaml';
import { CliError, EXIT } from '../errors.ts';

export type Format = 'table' | 'wide' | 'json' | 'yaml';

export interface Output {
  readonly format: Format;
  /** Columns of the terminal; undefined when the output is no terminal. */
  readonly width: number | undefined;
  readonly colour: boolean;
  write(text: string): void;
}

const FORMATS: readonly string[] = ['table', 'wide', 'json', 'yaml'];
const isFormat = (text: string): text is Format => FORMATS.includes(text);

/** @throws CliError */
export function parseFormat(text: string): Format {
  if (isFormat(text)) return text;
  throw new CliError(EXIT.usage, `-o ${text}: use one of ${FORMATS.join(', ')}`);
}

/** Prints a value as it was asked for: the data for programs, or what `draw` makes of it for people. */
export function show<T>(output: Output, value: T, draw: (value: T) => string): void {
  if (output.format === 'json') output.write(`${JSON.stringify(value, null, 2)}\n`);
  else if (output.format === 'yaml') output.write(stringify(value));
  else output.write(`${draw(value)}\n`);
}

const paint =
  (code: number) =>
  ({ colour }: Pick<Output, 'colour'>, text: string): string =>
    colour ? `\u001b[${code}m${text}\u001b[0m` : text;

export const green = paint(32);
export const yellow = paint(33);
export const red = paint(31);
export const faint = paint(2);
