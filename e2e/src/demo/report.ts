import type { PhaseResult } from './phase.ts';

/** The table at the end. */
export function table(results: readonly PhaseResult[]): string {
  const header = [
    'phase',
    'took',
    'ticks',
    'missing',
    'late',
    'doubled',
    'for',
    'allowed',
    'slots moved',
    'minimum',
    'load',
    'result',
  ];
  const rows = results.map((r) => [
    r.name,
    seconds(r.ms),
    `${r.ticks}/${r.ticksPromised}`,
    r.missingMax === 0 ? '0' : `${r.missingMax} for ${seconds(r.missingMs)}`,
    r.lateMaxMs === 0 ? '0' : seconds(r.lateMaxMs),
    String(r.doubledMax),
    seconds(r.doubledMs),
    seconds(allowedDoubledMs(r)),
    String(r.slotsMoved),
    String(r.slotsMinimum),
    r.machineLoad.toFixed(1),
    passed(r) ? 'ok' : 'FAILED',
  ]);
  const widths = header.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => (row[column] ?? '').length)),
  );
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join('  ');
  return [line(header), widths.map((width) => '-'.repeat(width)).join('  '), ...rows.map(line)].join('\n');
}

/** Whether a phase is judged, and was as it should be. */
export const passed = (result: PhaseResult): boolean => result.failures.length === 0 && result.unjudged === undefined;

/** A slot may be doubled for its acknowledge time and two scrape intervals of the verifier. */
function allowedDoubledMs(result: PhaseResult): number {
  return result.acknowledgeMs + 2 * result.intervalMs;
}

/** The last line of a run. */
export function summary(results: readonly PhaseResult[], failoverMs: number | null, ok: boolean): string {
  return JSON.stringify({
    demo: ok ? 'ok' : 'failed',
    phases: results.map((r) => ({
      name: r.name,
      planned: r.planned,
      ms: r.ms,
      ticks: r.ticks,
      missingMax: r.missingMax,
      missingMs: r.missingMs,
      lateMaxMs: r.lateMaxMs,
      doubledMax: r.doubledMax,
      doubledMs: r.doubledMs,
      slotsMoved: r.slotsMoved,
      slotsMinimum: r.slotsMinimum,
      machineLoad: Number(r.machineLoad.toFixed(2)),
    })),
    failoverMs,
  });
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`;
