import type { Logger } from '@shard-controller/shared/observability';
import { expect, test } from 'vitest';
import { exporterReports } from './exporter-reports.ts';

test('says where the exporter is, and where to look', () => {
  const lines: string[] = [];
  let changes = 0;
  const say =
    (level: string) =>
    (...args: readonly unknown[]): void =>
      void lines.push(`${level} ${String(args.at(-1))}`);
  const logger = { info: say('info'), warn: say('warn') } as unknown as Logger;
  const { onChange, onSilence } = exporterReports('kube-state-metrics at 127.0.0.1:8080', logger, () => changes++);
  onChange({ state: 'running', since: 0 });
  onChange({ state: 'unreachable', since: 0 });
  onSilence(15_000.4);
  expect(lines).toEqual([
    'info kube-state-metrics at 127.0.0.1:8080 answers',
    'warn kube-state-metrics at 127.0.0.1:8080 no longer answers: see the log of its container',
    'warn kube-state-metrics at 127.0.0.1:8080 does not answer: see the log and the arguments of its container',
  ]);
  expect(changes).toBe(2);
});
