import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { type CrdDefinition, customResourceDefinition } from './crd.ts';
import { generatedFiles, shardConfigDefinition, shardInstanceDefinition } from './crds.ts';

const definition: CrdDefinition = {
  group: 'example.com',
  version: 'v1',
  kind: 'Thing',
  plural: 'things',
  shortNames: ['th'],
  categories: [],
  schema: z.object({
    spec: z.object({ size: z.int().min(0).max(3) }),
    status: z.object({ list: z.array(z.object({ type: z.enum(['A']), up: z.boolean() })).max(2) }).optional(),
  }),
  columns: [],
};

const withColumn = (jsonPath: string): CrdDefinition => ({
  ...definition,
  columns: [{ name: 'C', type: 'string', jsonPath }],
});

describe('customResourceDefinition', () => {
  it.each(['.spec.size', '.status.list[?(@.type=="A")].up', '.metadata.creationTimestamp'])(
    'takes a column whose path exists: %s',
    (path) => {
      expect(() => customResourceDefinition(withColumn(path))).not.toThrow();
    },
  );

  it.each([
    '.spec.sise',
    '.status.list[?(@.kind=="A")].up',
    '.status.list[?(@.type=="A")].down',
    '.spec.size[0]',
    'spec',
  ])('refuses a column that would show nothing: %s', (path) => {
    expect(() => customResourceDefinition(withColumn(path))).toThrow(path);
  });

  it('refuses a scale path that leads nowhere', () => {
    const scale = {
      specReplicasPath: '.spec.size',
      statusReplicasPath: '.status.size',
      labelSelectorPath: '.spec.size',
    };
    expect(() => customResourceDefinition({ ...definition, scale })).toThrow('.status.size');
  });

  it.each([shardConfigDefinition, shardInstanceDefinition])('builds $kind, each column resolved', (one) => {
    expect(customResourceDefinition(one)).toMatchObject({ metadata: { name: `${one.plural}.shard.io` } });
    expect(new Set(one.columns.map(({ name }) => name)).size).toBe(one.columns.length);
  });
});

describe('generatedFiles', () => {
  it.each([...generatedFiles()])('%s is what the schemas say', (name, content) => {
    const file = join(import.meta.dirname, '../../../..', name);
    expect(readFileSync(file, 'utf8'), 'run `pnpm gen`').toBe(content);
  });
});
