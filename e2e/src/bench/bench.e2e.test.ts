import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RunFigures } from './arms.ts';
import { runBench } from './bench.ts';
import type { Results } from './results.ts';

// Whether it measures, not what: no figure that depends on time is judged here. `make test` has to end within 15 min.
describe.runIf(process.env['E2E_LONG'] === '1')('a small bench', () => {
  const folder = mkdtempSync(join(tmpdir(), 'bench-'));
  const output = join(folder, 'figures.json');
  const said: string[] = [];
  let results: Results;

  beforeAll(async () => {
    const settings = { objects: 300, churn: 20, seed: 1, seconds: 2, arms: ['plain', 'pushdown'], output } as const;
    const say = (text: string): void => void said.push(text);
    results = await runBench(settings, say, new AbortController().signal);
  });

  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test('every arm has figures', () => {
    expect(results.failed).toEqual({});
    expect(results.objects).toBeGreaterThan(250);
  });

  test.each(['plain', 'pushdown'] as const)('%s: start, processes, changes and scrapes were seen', (name) => {
    const run = results[name] as RunFigures;
    expect(run.start.series).toBeGreaterThan(10 * results.objects);
    expect(run.start.completeMs).toBeGreaterThan(0);
    for (const figures of [...run.start.processes, ...(run.steady?.processes ?? [])]) {
      expect(figures.cpuMs).toBeGreaterThanOrEqual(0);
      expect(figures.peakMiB).toBeGreaterThan(10);
    }
    const readers = run.start.processes.flatMap(({ apiBytes }) => apiBytes ?? []);
    expect(readers).toHaveLength(name === 'plain' ? 1 : 3);
    expect(Math.min(...readers)).toBeGreaterThan(1000);
    expect(run.steady?.changes).toBeGreaterThan(0);
    expect(run.steady?.observations.freshness.length).toBeGreaterThan(0);
    expect(run.steady?.observations.plainScrapes.length).toBeGreaterThan(0);
  });

  test('three workers, each with an exporter, and their frames', () => {
    const roles = results.pushdown?.start.processes.map(({ role }) => role).sort();
    expect(roles).toEqual(['exporter', 'exporter', 'exporter', 'worker', 'worker', 'worker']);
    const { received = 0, kept = 0 } = results.pushdown?.steady?.frames ?? {};
    expect(kept).toBeGreaterThan(0);
    expect(received).toBeGreaterThanOrEqual(kept);
    const pairs = results.pushdown?.steady?.observations.freshness ?? [];
    expect(pairs.every(({ target }) => target !== null)).toBe(true);
  });

  test('the last line is one JSON object with every figure, null where nothing was measured', () => {
    const summary: unknown = JSON.parse(said.at(-1) ?? '');
    expect(Object.keys(summary as object)).toEqual(
      expect.arrayContaining([
        'resizeMissingMax',
        'resizeDoubledMs',
        'peerResizeMissingMax',
        'peerResizeMissingMs',
        'filterProtobufObjectsPerSecond',
        'filterJsonObjectsPerSecond',
        'workerCpuMicrosPerFrame',
        'startWorkerCpuRatio',
        'freshnessP99AddedMs',
        'exporterPeakMemoryRatio',
        'pushdownBytesShare',
        'workerRssMiB',
        'workerRssPushdownMiB',
      ]),
    );
    expect(summary).toMatchObject({ resizeMissingMax: null, freshnessP99AddedMs: expect.any(Number) });
    expect(JSON.parse(readFileSync(output, 'utf8'))).toMatchObject({ summary, settings: { seed: 1 } });
  });
});
