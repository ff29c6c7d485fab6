import type { RunFigures } from './arms.ts';
import { barRows } from './bars.ts';
import type { ResizeFigures } from './resize-phase.ts';
import type { Results } from './results.ts';
import { largest, mean, quantile, ratio, sum } from './statistics.ts';
import { apiBytes, freshnessOf, startOf, steadyOf } from './summary.ts';

/** Everything that a run measured, for people. */
export function report(results: Results): string {
  const { plain, autosharded, ours, pushdown } = results;
  const runs = [plain, autosharded, ours, pushdown];
  const parts = [
    `\n${results.objects} objects, ${results.settings.churn} changes/s wanted, steady state ${results.settings.seconds} s\n`,
    table([RUN_HEADER, ...RUN_ROWS.map((row) => runRow(row, runs))]),
    ...resizeTable(results),
    `\n\n${table([['against the bars', 'bar', 'measured', ''], ...barRows(results)])}`,
    ...Object.entries(results.failed).map(([arm, reason]) => `\nno figures of ${arm}: ${reason}`),
  ];
  return parts.join('');
}

const RUN_HEADER = ['', 'KSM', 'KSM autosharding x3', 'ours x3', 'ours x3, pushdown', 'ours / peer', 'pushdown / peer'];

interface RunRow {
  readonly title: string;
  readonly digits: number;
  readonly of: (run: RunFigures) => number | null | undefined;
}

const seconds = (ms: number | null): number | null => (ms === null ? null : ms / 1000);
const mib = (bytes: number | null): number | null => (bytes === null ? null : bytes / 1024 / 1024);

/** Share of one core. */
const cores = (run: RunFigures, role: 'exporter' | 'worker'): number | null => {
  const { cpuMs } = steadyOf(run, role);
  return cpuMs === null || run.steady === null ? null : cpuMs / 1000 / run.steady.seconds;
};

const scrapes = (run: RunFigures): readonly number[] => {
  const { targetScrapes = [], plainScrapes = [] } = run.steady?.observations ?? {};
  return targetScrapes.length > 0 ? targetScrapes : plainScrapes;
};

const RUN_ROWS: readonly RunRow[] = [
  { title: 'first complete scrape, s', digits: 1, of: (run) => run.start.completeMs / 1000 },
  { title: 'series', digits: 0, of: (run) => run.start.series },
  { title: 'exposition, MiB', digits: 1, of: (run) => run.start.expositionMiB },
  { title: 'start: CPU of all exporters, s', digits: 2, of: (run) => seconds(startOf(run, 'exporter').cpuMs) },
  { title: 'start: CPU of all workers, s', digits: 2, of: (run) => seconds(startOf(run, 'worker').cpuMs) },
  { title: 'start: largest exporter, peak MiB', digits: 0, of: (run) => startOf(run, 'exporter').peakMiB },
  { title: 'start: largest worker, peak MiB', digits: 0, of: (run) => startOf(run, 'worker').peakMiB },
  {
    title: 'until the steady state: read from the API server, MiB each',
    digits: 2,
    of: (run) => mib(mean(apiBytes(run.steady?.before ?? []))),
  },
  { title: 'steady: changes/s', digits: 0, of: (run) => ratio(run.steady?.changes, run.steady?.seconds) },
  { title: 'steady: CPU of all exporters, cores', digits: 3, of: (run) => cores(run, 'exporter') },
  { title: 'steady: CPU of all workers, cores', digits: 3, of: (run) => cores(run, 'worker') },
  {
    title: 'steady: CPU of the workers per frame received, us',
    digits: 0,
    of: (run) => {
      const perFrame = ratio(steadyOf(run, 'worker').cpuMs, run.steady?.frames?.received);
      return perFrame === null ? null : perFrame * 1000;
    },
  },
  { title: 'steady: largest exporter, peak MiB', digits: 0, of: (run) => steadyOf(run, 'exporter').peakMiB },
  { title: 'steady: largest worker, peak MiB', digits: 0, of: (run) => steadyOf(run, 'worker').peakMiB },
  {
    title: 'steady: read from the API server per change, bytes each',
    digits: 0,
    of: (run) => ratio(mean(apiBytes(run.steady?.processes ?? [])), run.steady?.changes),
  },
  { title: 'freshness p50, ms', digits: 1, of: (run) => freshnessOf(run)?.p50 },
  { title: 'freshness p99, ms', digits: 1, of: (run) => freshnessOf(run)?.p99 },
  { title: 'freshness p50, ms more than KSM for the same change', digits: 1, of: (run) => freshnessOf(run)?.addedP50 },
  { title: 'freshness p99 less that of KSM at the same time, ms', digits: 1, of: (run) => freshnessOf(run)?.addedP99 },
  { title: 'changes not seen within 10 s', digits: 0, of: (run) => run.steady?.observations.unseen },
  { title: 'scrapes that failed', digits: 0, of: (run) => run.steady?.observations.failedScrapes },
  { title: 'scrape p50, ms (each target)', digits: 0, of: (run) => quantile(scrapes(run), 0.5) },
  { title: 'scrape p99, ms (each target)', digits: 0, of: (run) => quantile(scrapes(run), 0.99) },
];

function runRow({ title, digits, of }: RunRow, runs: readonly (RunFigures | undefined)[]): readonly string[] {
  const [plain, autosharded, ours, pushdown] = runs.map((run) => (run === undefined ? null : (of(run) ?? null)));
  const peer = autosharded ?? plain;
  const figures = [plain, autosharded, ours, pushdown].map((value) => number(value, digits));
  const isDifference = title.includes('more than') || title.includes('less that');
  const ratios = [ours, pushdown].map((value) => (isDifference ? '-' : times(ratio(value, peer))));
  return [title, ...figures, ...ratios];
}

function resizeTable({ resizeAutosharded: peer, resizeOurs: ours }: Results): readonly string[] {
  if (peer === undefined && ours === undefined) return [];
  const row = (who: string, r: ResizeFigures): readonly string[] => [
    `${who}, ${r.from} -> ${r.to}`,
    number(r.ms / 1000, 1),
    number(r.expected, 0),
    number(r.missingMax, 0),
    number(r.missingMs / 1000, 2),
    number(r.missingSeriesSeconds, 0),
    number(r.doubledMax, 0),
    number(r.doubledMs / 1000, 2),
    number(r.doubledSeriesSeconds, 0),
    `${r.ticks}/${r.ticksPromised} every ${r.intervalMs} ms`,
    r.equal ? 'equal' : 'NOT equal',
  ];
  const rows = [...(peer ?? []).map((r) => row('KSM autosharding', r)), ...(ours ?? []).map((r) => row('ours', r))];
  const all = (list: readonly ResizeFigures[] | undefined, of: (r: ResizeFigures) => number): number | null =>
    list === undefined ? null : sum(list.map(of));
  const against = (of: (r: ResizeFigures) => number): string => times(ratio(all(ours, of), all(peer, of)));
  const ratios = [
    'ours / peer',
    against((r) => r.ms),
    '-',
    times(ratio(largest((ours ?? []).map((r) => r.missingMax)), largest((peer ?? []).map((r) => r.missingMax)))),
    against((r) => r.missingMs),
    against((r) => r.missingSeriesSeconds),
    times(ratio(largest((ours ?? []).map((r) => r.doubledMax)), largest((peer ?? []).map((r) => r.doubledMax)))),
    against((r) => r.doubledMs),
    against((r) => r.doubledSeriesSeconds),
    '-',
    '',
  ];
  const names = (ours ?? []).flatMap((r) => r.samples.map((sample) => `ours, ${r.from} -> ${r.to}: ${sample}`));
  return [`\n\n${[table([RESIZE_HEADER, ...rows, ratios]), ...names].join('\n')}`];
}

const RESIZE_HEADER = [
  'resize under churn',
  'took, s',
  'series',
  'missing, most',
  'for, s',
  'series x s',
  'doubled, most',
  'one for, s',
  'series x s',
  'ticks',
  'afterwards',
];

const number = (value: number | null | undefined, digits: number): string =>
  value === null || value === undefined ? '-' : value.toFixed(digits);

const times = (value: number | null): string => (value === null ? '-' : `${value.toFixed(2)}x`);

function table(rows: readonly (readonly string[])[]): string {
  const [header = []] = rows;
  const widths = header.map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  const lines = rows.map((row) =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join('  ')
      .trimEnd(),
  );
  const rule = widths.map((width) => '-'.repeat(width)).join('  ');
  return [lines[0], rule, ...lines.slice(1)].join('\n');
}
