import { expect, test } from 'vitest';
import { parseUsage, roleOf, usageOf } from './process-usage.ts';

test('CPU is read behind a name that looks like fields', () => {
  const stat = '42 (a) R 1 2) S 1 42 42 0 -1 4194304 100 0 0 0 123 45 7 8 20 0 11 0 100 1 1';
  const status = 'Name:\ta) R 1 2\nVmHWM:\t  204800 kB\nVmRSS:\t  102400 kB\n';
  expect(parseUsage(stat, status)).toEqual({ cpuMs: 1680, rssMiB: 100, peakMiB: 200 });
});

test('the own process has used something and is no part of a contestant', () => {
  const usage = usageOf(process.pid);
  expect(usage?.cpuMs).toBeGreaterThan(0);
  expect(usage?.peakMiB).toBeGreaterThanOrEqual(usage?.rssMiB ?? Infinity);
  expect(roleOf(process.pid)).toBeUndefined();
});

test('a process that is gone has no usage', () => {
  expect(usageOf(2 ** 22 + 1)).toBeUndefined();
});
