import { describe, expect, it } from 'vitest';
import { appendOnlyStream, configDifferences, lastValueStream, storedSubject, withCopiesOf } from './stream-config.ts';

const wanted = appendOnlyStream({ name: 'LOG', subjects: ['shard.events.>'] });

describe('comparing the configuration that a server echoes', () => {
  it('finds nothing when all wanted settings are held, whatever else the operator has set', () => {
    expect(configDifferences(wanted, { ...wanted, max_bytes: 1e9, description: 'ours' })).toEqual([]);
  });

  it('names a setting that an old server dropped without a word', () => {
    const { republish: _, ...dropped } = wanted;
    expect(configDifferences(wanted, dropped)).toEqual([
      'republish is not set, wanted {"dest":"shard.stored.>","headers_only":true,"src":"shard.>"}',
    ]);
  });

  it('names a setting that has another value', () => {
    expect(configDifferences(wanted, { ...wanted, deny_delete: false })).toEqual(['deny_delete is false, wanted true']);
  });

  it('does not mind the order of keys', () => {
    const republish = { headers_only: true, dest: 'shard.stored.>', src: 'shard.>' };
    expect(configDifferences(wanted, { ...wanted, republish })).toEqual([]);
  });
});

it('a log refuses new messages when the disk is full; last values do not pile up', () => {
  expect(wanted).toMatchObject({ discard: 'new', deny_delete: true, deny_purge: true });
  expect(lastValueStream({ name: 'L', subjects: ['shard.assignments.>'] })).toMatchObject({ max_msgs_per_subject: 1 });
});

it('stored-notices come on a subject of their own that no stream covers', () => {
  expect(storedSubject('shard.events.ns.config.uid')).toBe('shard.stored.events.ns.config.uid');
});

it('never takes copies away that an operator has added', () => {
  const one = lastValueStream({ name: 'X', subjects: ['shard.x.>'], replicas: 1 });
  expect(withCopiesOf(one, { num_replicas: 3 }).num_replicas).toBe(3);
  expect(withCopiesOf({ ...one, num_replicas: 3 }, { num_replicas: 1 }).num_replicas).toBe(3);
  expect(withCopiesOf(one, undefined)).toBe(one);
});
