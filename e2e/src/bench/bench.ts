import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, release, totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import { type BenchContext, runAutosharded, runOurs, runPlain, runResize, runSingle } from './arms.ts';
import { PlainExporter } from './contestants/kube-state-metrics.ts';
import { measureMoves } from './moves-phase.ts';
import { orAborted } from './or-aborted.ts';
import { measureFilterSpeed, measureWorker } from './part-benches.ts';
import { report } from './report.ts';
import type { Results } from './results.ts';
import { type Arm, ARMS, type Settings } from './settings.ts';
import { type Say, Stage } from './stage.ts';
import { summaryOf } from './summary.ts';

const REPOSITORY = join(import.meta.dirname, '..', '..', '..');

type Measured = { -readonly [K in keyof Results]: Results[K] };

/**
 * Runs the arms one after the other against the same cluster and objects, prints the table, writes all figures to a file
 * and ends with one line of JSON. An arm that fails is named in the table; the others run all the same.
 */
export async function runBench(settings: Settings, say: Say, signal: AbortSignal): Promise<Results> {
  const results: Measured = {
    at: new Date().toISOString(),
    machine: machine(),
    settings,
    objects: 0,
    failed: {},
    seconds: {},
  };
  say(`shard-controller bench: ${settings.objects} objects, ${settings.churn} changes/s, seed ${settings.seed}`);
  say(`${results.machine}; arms: ${settings.arms.join(', ')}\n`);
  const began = performance.now();
  const stage = await Stage.start(settings, say, signal);
  try {
    results.objects = stage.workload.items.length;
    say(`${seconds(began)} s  cluster and ${results.objects} objects`);
    await orAborted(measure(stage, settings, results, signal), signal);
  } finally {
    await stage.stop();
  }
  say(report(results));
  say(`\ntook ${seconds(began)} s; all figures: ${fileOf(results)}`);
  say(JSON.stringify(summaryOf(results)));
  return results;
}

async function measure(stage: Stage, settings: Settings, results: Measured, signal: AbortSignal): Promise<void> {
  const context: BenchContext = { stage, settings, signal, plain: new PlainExporter(stage, 'ksm-plain') };
  // Without it nothing says when the others are complete.
  await arm(context, results, 'plain', async () => {
    results.plain = await runPlain(context, settings.arms.includes('plain'));
  });
  if (results.failed.plain !== undefined) throw new Error(`arm plain: ${results.failed.plain}`);
  for (const name of ARMS) {
    if (name === 'plain' || !settings.arms.includes(name) || signal.aborted) continue;
    await arm(context, results, name, () => RUNS[name](context, results));
  }
}

const RUNS: Readonly<Record<Exclude<Arm, 'plain'>, (context: BenchContext, results: Measured) => Promise<void>>> = {
  autosharded: async (context, results) => {
    results.autosharded = await runAutosharded(context);
  },
  ours: async (context, results) => {
    results.ours = await runOurs(context, 'off');
  },
  pushdown: async (context, results) => {
    results.pushdown = await runOurs(context, 'auto');
  },
  single: async (context, results) => {
    results.single = await runSingle(context);
  },
  'resize-autosharded': async (context, results) => {
    results.resizeAutosharded = await runResize(context, 'autosharded');
  },
  'resize-ours': async (context, results) => {
    results.resizeOurs = await runResize(context, 'ours');
  },
  moves: async (context, results) => {
    results.moves = [await measureMoves(context.stage, 'auto'), await measureMoves(context.stage, 'off')];
  },
  worker: async (context, results) => {
    results.worker = await measureWorker(context.settings.objects);
  },
  filter: async (context, results) => {
    results.filter = await measureFilterSpeed(context.stage);
  },
};

async function arm(context: BenchContext, results: Measured, name: Arm, work: () => Promise<void>): Promise<void> {
  const { say } = context.stage;
  const began = performance.now();
  try {
    await work();
    say(`${seconds(began)} s  ${name}`);
  } catch (error) {
    results.failed = { ...results.failed, [name]: error instanceof Error ? error.message : String(error) };
    say(`${seconds(began)} s  ${name}: ${results.failed[name] ?? ''}`);
  }
  results.seconds = { ...results.seconds, [name]: Math.round((performance.now() - began) / 1000) };
  save(results);
}

function fileOf({ settings, at }: Results): string {
  return settings.output ?? join(REPOSITORY, '.cache', 'bench', `${at.replaceAll(':', '-')}.json`);
}

/** After each arm, so that a run that is interrupted leaves what it has measured. */
function save(results: Results): void {
  const file = fileOf(results);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${JSON.stringify({ summary: summaryOf(results), ...results }, null, 2)}\n`);
}

const seconds = (since: number): string => ((performance.now() - since) / 1000).toFixed(1).padStart(6);

function machine(): string {
  const model = cpus()[0]?.model.trim() ?? 'unknown CPU';
  const memory = Math.round(totalmem() / 1024 ** 3);
  return `${availableParallelism()} cores of ${model}, ${memory} GiB, Linux ${release()}, Node ${process.versions.node}`;
}
