import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FaultFleet } from './fleet.ts';
import { describeRun, reproduction, runSchedule } from './run.ts';
import { scheduleOf } from './schedule.ts';

const SEEDS = Array.from({ length: 20 }, (_, seed) => seed);

let fleet: FaultFleet | undefined;
let failed = 0;

beforeAll(async () => {
  fleet = await FaultFleet.start(1);
});
afterAll(async () => {
  await fleet?.stop();
});

describe('a run with faults ends whole, without a relist or a restart of the exporter', () => {
  test.each(SEEDS)('seed %i', async (seed) => {
    // What an earlier seed has broken must not count for this one.
    if (fleet === undefined || failed > 0) {
      await fleet?.stop();
      fleet = await FaultFleet.start(seed);
      failed = 0;
    }
    const report = await runSchedule(fleet, scheduleOf(seed));
    failed = report.problems.length;
    console.log(describeRun(report));
    expect(report.problems, `${describeRun(report)}\nagain: ${reproduction(seed)}`).toEqual([]);
  });
});
