import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createMetrics } from '@shard-controller/shared/observability';
import { expect, test } from 'vitest';
import { DecisionMetrics } from './metrics.ts';

test("the manager's metrics are described, one by one, in docs/reference/metrics.md", () => {
  const metrics = createMetrics();
  new DecisionMetrics(metrics).leader(false);
  const page = readFileSync(join(import.meta.dirname, '../../../../docs/reference/metrics.md'), 'utf8');
  const rows = page.split('\n').filter((line) => /^\| `shard_controller_(?!worker_|reflector_)/.test(line));
  expect(rows.filter((row) => row.split('|').length === 6)).toEqual(metrics.describe());
});
