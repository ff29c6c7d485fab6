import { expect, test } from 'vitest';
import { errorCode, errorMessage } from './error-text.ts';

const coded = (code: unknown): Error => Object.assign(new Error('it broke'), { code });

test('an error says its message, and anything else itself', () => {
  expect([new Error('it broke'), 'a text', 7, undefined].map(errorMessage)).toEqual([
    'it broke',
    'a text',
    '7',
    'undefined',
  ]);
});

test('only a text is a code', () => {
  expect([coded('SC_X'), coded(7), new Error('none'), { code: 'SC_X' }].map(errorCode)).toEqual([
    'SC_X',
    undefined,
    undefined,
    undefined,
  ]);
});
