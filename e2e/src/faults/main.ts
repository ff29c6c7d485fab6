/** `make faults`: runs seeds one after the other on one fleet, and says what each did. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseConfig } from '@shard-controller/shared/runtime';
import { z } from 'zod';
import { FaultFleet } from './fleet.ts';
import { describeRun, reproduction, runSchedule, type RunReport } from './run.ts';
import { scheduleOf } from './schedule.ts';

const settingsSchema = z.object({
  SEED: z.coerce.number().int().min(0).optional().describe('runs this seed alone'),
  SEEDS: z.coerce.number().int().min(1).max(100_000).default(20).describe('how many seeds, from 0'),
  LOGS: z.string().min(1).optional().describe('folder for the logs of bad seeds'),
  FIRST: z.coerce.number().int().min(0).default(0).describe('the first seed'),
});

const say = (text: string): void => void process.stdout.write(`${text}\n`);

const isGood = ({ problems, completeMs, barMs }: RunReport): boolean => problems.length === 0 && completeMs <= barMs;

function keepLogs(folder: string, seed: number, fleet: FaultFleet): void {
  mkdirSync(folder, { recursive: true });
  for (const { pod, shardId } of fleet.workers) {
    writeFileSync(join(folder, `${seed}-${shardId}-worker.log`), pod.worker.output);
    writeFileSync(join(folder, `${seed}-${shardId}-exporter.log`), pod.exporterOutput);
  }
}

async function main(): Promise<number> {
  const { SEED, SEEDS, FIRST, LOGS } = parseConfig(settingsSchema, process.env);
  const seeds = SEED === undefined ? Array.from({ length: SEEDS }, (_, i) => FIRST + i) : [SEED];
  const bad: number[] = [];
  const times: number[] = [];
  let fleet: FaultFleet | undefined;
  try {
    for (const seed of seeds) {
      fleet ??= await FaultFleet.start(seed);
      const report = await runSchedule(fleet, scheduleOf(seed));
      times.push(report.completeMs);
      say(describeRun(report));
      if (isGood(report)) continue;
      bad.push(seed);
      say(`  again: ${reproduction(seed)}`);
      if (LOGS !== undefined) keepLogs(LOGS, seed, fleet);
      // What went wrong must not count for the next seed.
      await fleet.stop();
      fleet = undefined;
    }
  } finally {
    await fleet?.stop();
  }
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  say(
    `\n${seeds.length - bad.length} of ${seeds.length} seeds good; complete after ${at(0.5)} ms (median), ${at(1)} ms (worst)`,
  );
  if (bad.length > 0) say(`bad seeds: ${bad.join(', ')}; ${reproduction(bad[0] ?? 0)} repeats the first`);
  return bad.length === 0 ? 0 : 1;
}

// What was started ends with this process, but only if it ends by itself.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
process.exitCode = await main();
