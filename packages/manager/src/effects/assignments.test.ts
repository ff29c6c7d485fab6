import type { Assignment } from '@shard-controller/shared/contracts';
import type { AppendResult, StoredRecord } from '@shard-controller/shared/nats';
import { describe, expect, it } from 'vitest';
import { AssignmentPublisher, type AssignmentValues } from './assignments.ts';

const SUBJECT = 'shard.assignments.monitoring.main.shard-001';

const assignment = (generation: number, epoch: number, uid = 'uid-1'): Assignment => ({
  v: 'shard.assignment.v1',
  shardConfig: { namespace: 'monitoring', name: 'main', uid },
  shardId: 'shard-001',
  generation,
  epoch,
  slotCount: 256,
  shardBy: 'uid',
  hashRanges: [],
  warmRanges: [],
  releaseRanges: [],
});

/** The last-value stream, in memory: one value, its sequence, and the rule that the expected one must still stand. */
class Values implements AssignmentValues {
  value: Assignment | 'invalid' | undefined;
  sequence = 0;
  reads = 0;
  /** Runs between a reader's get and its publish. */
  meanwhile: () => void = () => undefined;

  get(): Promise<StoredRecord<Assignment> | undefined> {
    this.reads += 1;
    if (this.value === undefined) return Promise.resolve(undefined);
    const body =
      this.value === 'invalid'
        ? ({ ok: false, problem: 'not JSON' } as const)
        : ({ ok: true, value: this.value } as const);
    const found = { subject: SUBJECT, sequence: this.sequence, storedAt: 0, id: '', body };
    this.meanwhile();
    return Promise.resolve(found);
  }

  publish(_: string, value: Assignment, expectedLast?: number): Promise<AppendResult> {
    if (expectedLast !== this.sequence) {
      return Promise.resolve({ ok: false, conflict: true, lastSequence: this.sequence });
    }
    this.put(value);
    return Promise.resolve({ ok: true, sequence: this.sequence });
  }

  remove(): Promise<number> {
    this.value = undefined;
    return Promise.resolve(1);
  }

  put(value: Assignment | 'invalid'): void {
    this.value = value;
    this.sequence += 1;
  }
}

function publishing(values: Values, over: { readonly isNewest?: boolean; readonly leads?: () => boolean } = {}) {
  const forged: string[] = [];
  const publisher = new AssignmentPublisher({
    values,
    leads: over.leads ?? (() => true),
    isNewest: () => Promise.resolve(over.isNewest ?? false),
    onForged: ({ generation, epoch }, by) => forged.push(`${generation}/${epoch} by ${by.generation}/${by.epoch}`),
  });
  return { publisher, forged };
}

describe('AssignmentPublisher', () => {
  it('publishes a newer assignment, and the same one only once', async () => {
    const values = new Values();
    const { publisher } = publishing(values);
    expect(await publisher.publish(assignment(1, 5))).toBe('published');
    expect(await publisher.publish(assignment(1, 5))).toBe('unchanged');
    expect(values.reads).toBe(1);
    expect(await publisher.publish(assignment(1, 6))).toBe('published');
    expect(values.value).toEqual(assignment(1, 6));
  });

  it('never replaces a newer one, of another leader or of a rebuilt log', async () => {
    const values = new Values();
    values.put(assignment(2, 1));
    expect(await publishing(values).publisher.publish(assignment(1, 99))).toBe('newer');
    expect(values.value).toEqual(assignment(2, 1));
  });

  it('loses against a writer who came between reading and writing', async () => {
    const values = new Values();
    values.put(assignment(1, 1));
    values.meanwhile = () => values.put(assignment(1, 9));
    expect(await publishing(values).publisher.publish(assignment(1, 2))).toBe('newer');
    expect(values.value).toEqual(assignment(1, 9));
  });

  it('replaces an invalid value and what an earlier ShardConfig of the same name left', async () => {
    const values = new Values();
    values.put('invalid');
    expect(await publishing(values).publisher.publish(assignment(1, 1))).toBe('published');
    values.put(assignment(7, 700, 'uid-of-before'));
    expect(await publishing(values).publisher.publish(assignment(1, 2))).toBe('published');
    expect(values.value).toEqual(assignment(1, 2));
  });

  it('repairs a value that was lost, once it looks again', async () => {
    const values = new Values();
    const { publisher } = publishing(values);
    await publisher.publish(assignment(1, 5));
    values.put('invalid');
    expect(await publisher.publish(assignment(1, 5))).toBe('unchanged');
    publisher.forget();
    expect(await publisher.publish(assignment(1, 5))).toBe('published');
    expect(values.value).toEqual(assignment(1, 5));
  });

  it('replaces a newer one that stands there while the own log is the newest: nobody has decided it', async () => {
    const values = new Values();
    const { publisher, forged } = publishing(values, { isNewest: true });
    values.put(assignment(Number.MAX_SAFE_INTEGER, 1));
    expect(await publisher.publish(assignment(1, 5))).toBe('published');
    expect(values.value).toEqual(assignment(1, 5));
    values.put({ ...assignment(1, 5), hashRanges: [{ start: 0, end: 16777215 }] });
    publisher.forget();
    expect(await publisher.publish(assignment(1, 5))).toBe('published');
    expect(values.value).toEqual(assignment(1, 5));
    expect(forged).toEqual([`${Number.MAX_SAFE_INTEGER}/1 by 1/5`, '1/5 by 1/5']);
  });

  it('replaces nothing that a really newer leader publishes meanwhile', async () => {
    const values = new Values();
    values.put(assignment(1, 900));
    values.meanwhile = () => values.put(assignment(2, 1));
    const { publisher, forged } = publishing(values, { isNewest: true });
    expect(await publisher.publish(assignment(1, 5))).toBe('newer');
    expect(values.value).toEqual(assignment(2, 1));
    expect(forged).toEqual([]);
  });

  it('writes and removes nothing once it leads no more, also when that ends while it looks', async () => {
    const values = new Values();
    values.put(assignment(1, 1));
    let leads = true;
    values.meanwhile = () => {
      leads = false;
    };
    const { publisher } = publishing(values, { leads: () => leads });
    expect(await publisher.publish(assignment(1, 2))).toBe('failed');
    await publisher.remove({ namespace: 'monitoring', name: 'main', uid: 'uid-1' }, 'shard-001');
    expect(values.value).toEqual(assignment(1, 1));
  });

  it('removes what is its own, and nothing of a ShardConfig that was re-created under the same name', async () => {
    const values = new Values();
    const { publisher } = publishing(values);
    const config = { namespace: 'monitoring', name: 'main', uid: 'uid-1' };
    values.put(assignment(1, 1, 'uid-of-after'));
    await publisher.remove(config, 'shard-001');
    expect(values.value).toEqual(assignment(1, 1, 'uid-of-after'));
    values.put(assignment(1, 2));
    await publisher.remove(config, 'shard-001');
    expect(values.value).toBeUndefined();
    await publisher.remove(config, 'shard-001');
  });
});
