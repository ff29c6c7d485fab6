import { encodeMessage } from '@shard-controller/shared/nats';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { inParts, type OpenDecision, wholeText, withPart } from './decision-parts.ts';
import { DECISION_V1, type StoredDecision } from './decision.ts';

const stored = (text: string): StoredDecision => ({
  v: DECISION_V1,
  id: 'd'.repeat(36),
  at: 1,
  manager: { identity: 'm', term: 1 },
  generation: 1,
  stream: 's',
  command: 'c',
  reason: 'r',
  events: [{ type: 'shard.moved.v1', text }],
});

const text = fc.oneof(
  fc.constantFrom('"', '\\', '\u0000', '€', '😀', 'x').map((unit) => unit.repeat(45_001)),
  fc.string({ maxLength: 50_000, unit: 'binary', size: 'max' }),
);

test('the parts of a decision fit into a message, and together say the same', () => {
  fc.assert(
    fc.property(text, (said) => {
      let open: OpenDecision | undefined;
      for (const part of inParts(stored(said))) {
        const bytes = encodeMessage('shard.events', part);
        open = withPart(open, { ...part, ...JSON.parse(new TextDecoder().decode(bytes)) });
      }
      expect(JSON.parse(open === undefined ? '' : (wholeText(open) ?? ''))).toEqual(stored(said));
    }),
    { numRuns: 30 },
  );
}, 30_000);

test('parts that do not follow each other are nothing', () => {
  const [first, second, third] = inParts(stored('x'.repeat(45_000)));
  if (first === undefined || second === undefined || third === undefined) throw new Error('not three parts');
  expect(withPart(undefined, second)).toBeUndefined();
  const open = withPart(undefined, first);
  expect(withPart(open, third)).toBeUndefined();
  expect(withPart(open, { ...second, decision: 'another' })).toBeUndefined();
  expect(withPart(withPart(open, second), first)).toEqual(open);
});
