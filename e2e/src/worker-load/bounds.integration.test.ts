import { elapse } from '@shard-controller/shared/testing';
import { describe, expect, it } from 'vitest';
import { measureWorkerFrames } from './index.ts';
import { LoadRig } from './load-rig.ts';

/** Far above what is measured (docs/decisions/012-worker-memory.md), far below what a leak or an unbounded queue takes. */
const GROWTH_MIB = 60;

/** Resolves when the worker reads no more, although more is there: three looks at it, each of them turns of its loop. */
async function stopped(rig: LoadRig, atLeast: number): Promise<void> {
  let last = 0;
  for (let same = 0; same < 3; ) {
    const received = await rig.received();
    same = received === last && received > atLeast ? same + 1 : 0;
    last = received;
    await elapse(200);
  }
}

describe('memory of a worker', () => {
  it('with 100,000 objects seen, 25,000 owned and all changed once is at most 160 MiB', async () => {
    const figures = await measureWorkerFrames({ objects: 100_000, frames: 20_000, bytes: 1_024, keptShare: 0.25 });
    expect(figures.keptShare).toBeCloseTo(0.25, 1);
    // From the sources Node's type stripper adds 30 MiB that the compiled program, which is shipped, does not have.
    expect(figures.rssMiB.peak).toBeLessThan(process.env['SHARD_CONTROLLER_PROGRAMS'] === 'dist' ? 160 : 190);
  });

  it('is at most 120 MiB where the API server sends only the 25,000', async () => {
    const load = { objects: 100_000, frames: 20_000, bytes: 1_024, keptShare: 0.25 };
    const figures = await measureWorkerFrames({ ...load, narrows: true });
    expect(figures.keptShare).toBeCloseTo(0.25, 1);
    expect(figures.rssMiB.peak).toBeLessThan(process.env['SHARD_CONTROLLER_PROGRAMS'] === 'dist' ? 120 : 150);
  });

  it.for([
    ['30,000 changes of 4 KiB', 30_000, 4_096],
    ['100 changes of 1 MiB', 100, 1024 * 1024],
  ] as const)(
    'stays bounded while the exporter has stopped and %s come; it gets them all afterwards',
    async ([, frames, frameBytes]) => {
      await using rig = await LoadRig.start({ objects: 20, frameBytes, keptShare: 1 });
      await rig.load();
      const before = rig.memory();
      const shown = rig.sink.frames;
      rig.sink.pause();
      const churned = rig.churn(frames);
      // The queue holds 4 MiB, and the kernel's socket buffers some more.
      await stopped(rig, (2 * 1024 * 1024) / frameBytes);
      expect(rig.memory('VmHWM') - before).toBeLessThan(GROWTH_MIB);
      rig.sink.resume();
      await rig.passedOn(await churned);
      // Neither lost nor listed again: one event per change, over the same watch.
      expect(rig.sink.frames - shown).toBe(frames);
      expect(rig.memory('VmHWM') - before).toBeLessThan(GROWTH_MIB);
    },
  );
});
