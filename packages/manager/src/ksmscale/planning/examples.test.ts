import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseKsmScale } from '@shard-controller/shared/api';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { layoutOf } from './layout.ts';

const FOLDER = join(import.meta.dirname, '../../../../../examples/ksmscale');

function exampleOf(name: string) {
  const raw = parse(readFileSync(join(FOLDER, `${name}.yaml`), 'utf8')) as { readonly metadata: object };
  const parsed = parseKsmScale({ ...raw, metadata: { ...raw.metadata, uid: 'u', resourceVersion: '1' } });
  if (!parsed.ok) throw new Error(`${name}: ${parsed.problems.join('; ')}`);
  return parsed.value;
}

/** Example, nodes, pods, shards. */
const EXPECTED: readonly (readonly [string, number, number, number | undefined])[] = [
  ['small-cluster-ksm', 20, 1, undefined],
  ['medium-cluster-ksm', 75, 3, 3],
  ['large-cluster-ksm', 300, 7, 7],
  ['production-ksm-sharded', 75, 3, 3],
  ['development-ksm', 20, 1, undefined],
  ['small-sharded', 15, 3, 3],
  ['medium-sharded', 75, 5, 3],
  ['large-sharded', 300, 20, 5],
  ['medium-cluster', 300, 12, 3],
  ['test-sharded', 4, 3, 3],
  ['expandable-ksm', 60, 4, 4],
  ['grouped-ksm', 75, 5, 3],
  ['partial-ksm', 10, 2, 3],
];

describe('the examples', () => {
  it.each(EXPECTED)('%s: %i nodes, %i pods, %s shards', (name, nodes, pods, shards) => {
    const { metadata, spec } = exampleOf(name);
    expect(metadata.name).toBe(name);
    expect(layoutOf(spec, nodes)).toMatchObject({ desiredPods: pods, totalShards: shards });
  });

  it('are all there', () => {
    const files = readdirSync(FOLDER).filter((file) => file.endsWith('.yaml'));
    expect(files.map((file) => file.replace('.yaml', '')).toSorted()).toEqual(
      EXPECTED.map(([name]) => name).toSorted(),
    );
  });
});
