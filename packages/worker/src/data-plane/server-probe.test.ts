import { PassThrough } from 'node:stream';
import { ManualClock } from '@shard-controller/shared/testing';
import { afterEach, expect, test } from 'vitest';
import { ServerProbe } from './server-probe.ts';

let stop = new AbortController();
afterEach(() => stop.abort());

/** A probe of a server that answers with these statuses, one after the other; undefined: not at all. */
function probing(...statuses: readonly (number | undefined)[]): {
  readonly probe: ServerProbe;
  readonly clock: ManualClock;
} {
  const clock = new ManualClock();
  const answers = [...statuses];
  const stream = (): Promise<{ status: number; headers: object; body: PassThrough }> => {
    const status = answers.shift();
    if (status === undefined) return Promise.reject(new Error('no route to host'));
    return Promise.resolve({ status, headers: {}, body: new PassThrough().end() });
  };
  const probe = new ServerProbe({ stream: stream as never }, clock);
  stop = new AbortController();
  void probe.run(stop.signal);
  return { probe, clock };
}

test('takes a refusal for a sign of life, but not an error of the server', async () => {
  const { probe, clock } = probing(403, 503);
  await clock.advance(5_000);
  expect(probe.answeredAt).toBe(1_000);
});

test('asks again soon after a probe without an answer', async () => {
  const { probe, clock } = probing(undefined, 200, 200);
  await clock.advance(499);
  expect(probe.answeredAt).toBe(1_000);
  await clock.advance(1);
  expect(probe.answeredAt).toBe(1_500);
  await clock.advance(4_999);
  expect(probe.answeredAt).toBe(1_500);
  await clock.advance(1);
  expect(probe.answeredAt).toBe(6_500);
});
