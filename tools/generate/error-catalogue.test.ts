import { join } from 'node:path';
import { expect, test } from 'vitest';
import { errorCatalogue, errorReference, undocumentedCodes } from './error-catalogue.ts';
import { productSources } from './product-sources.ts';

const sources = productSources(join(import.meta.dirname, '../..'));
/** The worker's own are still to come; an error of the command line has an exit code instead. */
const withClasses = [...sources].filter(([path]) => /^packages\/(manager|shared)\//.test(path));

test('every error code of the product has a meaning and a remedy', () => {
  expect(undocumentedCodes(sources)).toEqual([]);
});

test('every error of the manager and of what both share has a class with a code', () => {
  const plain = withClasses.flatMap(([path, text]) =>
    [...text.matchAll(/new Error\(([^)]*)/g)].map(([, what]) => `${path}: new Error(${what})`),
  );
  expect(plain).toEqual([]);
  const uncoded = withClasses.flatMap(([path, text]) =>
    [...text.matchAll(/class (\w+) extends Error\b[\s\S]*?^\}/gm)].flatMap(([body, name]) =>
      /\bcode\b/.test(body) ? [] : [`${path}: ${name}`],
    ),
  );
  expect(uncoded).toEqual([]);
});

const SOURCE = `
/** Something broke. @remedy mend it. */
export class BrokenError extends Error {
  override readonly name = 'BrokenError';
  readonly code = 'SC_BROKEN';
}

/**
 * The other
 * thing.
 * @remedy wait: it
 *   ends by itself.
 */
class OtherError extends BaseError {
  constructor() {
    super(
      'SC_OTHER',
    );
  }
}

export type Code =
  /** One of | two. @remedy none. */
  | 'SC_UNION'
  | 'SC_BARE';

/** Neither class nor union. @remedy none. */
const UNKNOWN = 'SC_UNKNOWN';
`;

test('reads classes, unions and constants', () => {
  const read = new Map([['a.ts', SOURCE]]);
  const entries = errorCatalogue(read);
  expect(entries.map(({ code, meaning, remedy }) => [code, meaning, remedy])).toEqual([
    ['SC_BROKEN', 'Something broke.', 'mend it.'],
    ['SC_OTHER', 'The other thing.', 'wait: it ends by itself.'],
    ['SC_UNION', 'One of | two.', 'none.'],
    ['SC_UNKNOWN', 'Neither class nor union.', 'none.'],
  ]);
  expect(undocumentedCodes(read)).toEqual(['SC_BARE']);
  expect(errorReference(entries)).toContain('| `SC_UNION` | One of \\| two. | None. |');
});
