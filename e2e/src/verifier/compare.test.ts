import { expect, test } from 'vitest';
import { compareExpositions } from './compare.ts';

const body = (...lines: string[]): Buffer => Buffer.from(`# HELP x\n# TYPE x gauge\n${lines.join('\n')}\n`);

test('the union in any order equals the reference', () => {
  expect(compareExpositions(body('a 1', 'b 2', 'c 3'), [body('c 3'), body('b 2', 'a 1')])).toEqual({
    equal: true,
    lines: 3,
  });
});

test('a stale value is a difference, with both lines named', () => {
  const outcome = compareExpositions(body('a 1', 'b 2'), [body('a 1'), body('b 1')]);
  expect(outcome).toEqual({
    equal: false,
    difference: '1 lines only in the reference, 1 only in the workers; reference: b 2; workers: b 1',
  });
});

test('a lost and a doubled line are differences', () => {
  expect(compareExpositions(body('a 1', 'b 2'), [body('a 1')]).equal).toBe(false);
  expect(compareExpositions(body('a 1'), [body('a 1'), body('a 1')]).equal).toBe(false);
});
