import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';

const ROOT = join(import.meta.dirname, '../..');
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');

const versions = z.looseObject({ version: z.string(), appVersion: z.string() });
const values = z.looseObject({
  collectors: z.array(z.string()),
  nats: z.looseObject({ image: z.looseObject({ tag: z.string() }) }),
});
const kinds = z.record(z.enum(['clusterScoped', 'namespaced']), z.record(z.string(), z.array(z.string())));
const binaries = z.looseObject({ 'nats-server': z.looseObject({ version: z.string() }) });

const chartValues = values.parse(parse(read('helm/shard-controller/values.yaml')));

test('the chart has the version of the programs', () => {
  const chart = versions.parse(parse(read('helm/shard-controller/Chart.yaml')));
  const { version } = z.looseObject({ version: z.string() }).parse(JSON.parse(read('package.json')));
  expect([chart.version, chart.appVersion]).toEqual([version, version]);
});

test('the NATS that it runs is the one that the tests run', () => {
  const { version } = binaries.parse(JSON.parse(read('tools/binaries.json')))['nats-server'];
  expect(`v${chartValues.nats.image.tag}`).toBe(version);
});

test('it knows the API group of every kind that it exports', () => {
  const known = Object.values(kinds.parse(parse(read('helm/shard-controller/files/kinds.yaml')))).flatMap((groups) =>
    Object.values(groups).flat(),
  );
  expect(known).toEqual(expect.arrayContaining(chartValues.collectors));
  expect(new Set(known).size).toBe(known.length);
});
