import { describe, expect, test } from 'vitest';
import type { RunFigures } from './arms.ts';
import { barRows } from './bars.ts';
import type { ProcessFigures } from './process-book.ts';
import { report } from './report.ts';
import type { Results } from './results.ts';
import { quantile } from './statistics.ts';
import { summaryOf } from './summary.ts';

const worker = (pod: string, apiBytes: number, more: Partial<ProcessFigures> = {}): ProcessFigures => ({
  pod,
  role: 'worker',
  cpuMs: 0,
  rssMiB: 0,
  peakMiB: 0,
  apiBytes,
  ...more,
});

function run(start: readonly ProcessFigures[], steady: readonly ProcessFigures[], changes: number): RunFigures {
  const freshness = Array.from({ length: 100 }, (_, i) => ({ plain: 10 + i / 10, target: 14 + i / 5 }));
  return {
    start: { completeMs: 1000, series: 10, expositionMiB: 1, processes: start },
    steady: {
      seconds: 10,
      changes,
      changesFailed: 0,
      observations: { freshness, unseen: 0, plainScrapes: [5], targetScrapes: [7, 9], failedScrapes: 0, lookMs: [] },
      before: start,
      processes: steady,
      frames: null,
    },
  };
}

const EMPTY: Results = {
  at: '2026-01-01T00:00:00.000Z',
  machine: 'test',
  settings: { objects: 1, churn: 1, seed: 1, seconds: 1, arms: [], output: undefined },
  objects: 1,
  failed: {},
  seconds: {},
};

describe('the summary', () => {
  test('what was not measured is null, and no bar is called met', () => {
    const { objects, ...figures } = summaryOf(EMPTY);
    expect(objects).toBe(1);
    expect(new Set(Object.values(figures))).toEqual(new Set([null]));
    expect(barRows(EMPTY).every((row) => row.at(-1) === 'not measured')).toBe(true);
  });

  test('pushdown: the worst worker against the mean without, at the same number of changes', () => {
    const ours = run([worker('a', 600), worker('b', 400)], [worker('a', 700), worker('b', 300)], 100);
    const pushdown = run([worker('a', 200), worker('b', 100)], [worker('a', 100), worker('b', 50)], 50);
    // (200 + 100 * 2) / (500 + 500)
    expect(summaryOf({ ...EMPTY, ours, pushdown }).pushdownBytesShare).toBe(0.4);
  });

  test('moved objects: bytes per object against its size, the worse of both ways', () => {
    const figures = { objects: 10, migrations: 2, objectBytes: 100, ms: 1 };
    const moves = [
      { ...figures, pushdown: 'auto', bytes: 1500 },
      { ...figures, pushdown: 'off', bytes: 2500 },
    ] as const;
    expect(summaryOf({ ...EMPTY, moves }).movedObjectBytesRatio).toBe(2.5);
  });

  test('freshness: p99 of ours less p99 of plain', () => {
    const pushdown = run([], [], 1);
    // 14 + 98/5 - (10 + 98/10)
    expect(summaryOf({ ...EMPTY, pushdown }).freshnessP99AddedMs).toBe(13.8);
  });

  test("start: the worker's CPU against the exporter's, with and without its boot", () => {
    const processes = [worker('a', 0, { cpuMs: 900 }), worker('a', 0, { role: 'exporter', cpuMs: 1000, peakMiB: 70 })];
    const single: RunFigures = { start: { completeMs: 1, series: 1, expositionMiB: 1, processes }, steady: null };
    const plain: RunFigures = {
      ...single,
      start: { ...single.start, processes: [worker('p', 0, { role: 'exporter', peakMiB: 100 })] },
    };
    const part = { frameBytes: 1024, bootCpuMs: 600, microsPerFrameReceived: 21, microsPerFrameKept: 30 };
    const memory = { objects: 5, owned: 1, rssMiB: 100, peakMiB: 110 };
    const startMicrosPerObject = { few: 20, many: 10 };
    const measured = { ...part, startMicrosPerObject, memory, memoryWithPushdown: memory };
    const results = { ...EMPTY, plain, single, worker: measured };
    expect(summaryOf(results)).toMatchObject({
      startWorkerCpuRatio: 0.9,
      startWorkerCpuRatioWithoutBoot: 0.3,
      exporterPeakMemoryRatio: 0.7,
      workerCpuMicrosPerFrame: 21,
    });
    const verdicts = new Map(barRows(results).map((row) => [row[0], row.at(-1)]));
    expect(verdicts.get('worker CPU per frame received')).toBe('MISSED');
    expect(verdicts.get('worker CPU per frame kept')).toBe('met');
    expect(report(results)).toContain('worker CPU per frame received');
  });
});

test('a quantile is one of the samples', () => {
  const samples = Array.from({ length: 200 }, (_, i) => 200 - i);
  expect([quantile(samples, 0.5), quantile(samples, 0.99), quantile([], 0.5)]).toEqual([100, 198, null]);
});
