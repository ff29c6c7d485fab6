import { expect, test } from 'vitest';
import { compareExpositions } from './compare.ts';

const body = (...lines: string[]): Buffer => Buffer.from(`# HELP x\n# TYPE x gauge\n${lines.join('\n')}\n`);
const still = body('a 1', 'b 2', 'c 3');

test('the union in any order equals the reference', () => {
  expect(compareExpositions(still, still, [body('c 3'), body('b 2', 'a 1')])).toEqual({ equal: true, lines: 3 });
});

test('a stale value is a difference, with both lines named', () => {
  const outcome = compareExpositions(still, still, [body('a 1', 'c 3'), body('b 1')]);
  expect(outcome).toEqual({
    equal: false,
    difference: '1 lines only in the reference, 1 only in the workers; reference: b 2; workers: b 1',
  });
});

test('a lost and a doubled line are differences', () => {
  expect(compareExpositions(still, still, [body('a 1', 'b 2')]).equal).toBe(false);
  expect(compareExpositions(still, still, [still, body('a 1')]).equal).toBe(false);
});

test('a value that changed between the two scrapes of the reference may be the old or the new one, but no third', () => {
  const later = body('a 1', 'b 9', 'c 3');
  expect(compareExpositions(still, later, [body('a 1', 'b 2', 'c 3')]).equal).toBe(true);
  expect(compareExpositions(still, later, [body('a 1', 'b 9', 'c 3')]).equal).toBe(true);
  expect(compareExpositions(still, later, [body('a 1', 'b 5', 'c 3')]).equal).toBe(false);
});
