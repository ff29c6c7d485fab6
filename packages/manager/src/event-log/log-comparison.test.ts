import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compareLog, type FoundLog, nextGeneration } from './log-comparison.ts';

const log = (change: Partial<FoundLog> = {}): FoundLog => ({
  created: '2026-01-01T00:00:00Z',
  writtenUnder: '2026-01-01T00:00:00Z',
  lastSequence: 40,
  generation: 2,
  ...change,
});
const empty = log({ lastSequence: 0, generation: 0, writtenUnder: undefined });

describe('comparing the log with the ShardInstances', () => {
  it.each([
    ['no decision and no ShardInstance is a new ShardConfig', empty, undefined, 'new'],
    ['no decision but ShardInstances is a lost log', empty, { generation: 1, epoch: 0 }, 'lost'],
    ['a log as far as the ShardInstances goes on', log(), { generation: 2, epoch: 40 }, 'continue'],
    ['a log ahead of the ShardInstances goes on', log(), { generation: 2, epoch: 12 }, 'continue'],
    ['a log without ShardInstances goes on', log(), undefined, 'continue'],
    ['a log of a later generation goes on, whatever the old epochs', log(), { generation: 1, epoch: 900 }, 'continue'],
    ['a log that ends before an epoch in use is behind', log(), { generation: 2, epoch: 41 }, 'behind'],
    ['a log of an earlier generation is behind', log(), { generation: 3, epoch: 1 }, 'behind'],
    [
      'decisions that were copied to another stream are not continued',
      log({ writtenUnder: '2025-12-24T00:00:00Z' }),
      { generation: 2, epoch: 40 },
      'recreated',
    ],
  ] as const)('%s', (_, found, seen, expected) => {
    expect(compareLog(found, seen)).toBe(expected);
  });

  it('after a loss, the next generation makes every worker accept even the first sequence', () => {
    const epochs = fc.record({ generation: fc.nat(1000), epoch: fc.nat(1_000_000) });
    fc.assert(
      fc.property(fc.nat(1000), epochs, (generation, seen) => {
        const rebuilt = log({ generation: nextGeneration({ generation }, seen), lastSequence: 1 });
        expect(compareLog(rebuilt, seen)).toBe('continue');
        expect(rebuilt.generation).toBeGreaterThan(Math.max(generation, seen.generation));
      }),
    );
  });
});
