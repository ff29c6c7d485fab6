import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Fleet } from './fleet.ts';
import { roll } from './phases.ts';

/** What is exported changes on a running fleet. */

const SHARDS = 3;
const LIMIT_MS = 600_000;
/** All changes, and the usual time that they are compared with; else the two that differ most. */
const ALL = process.env['E2E_LONG'] === '1';

const say = (text: string): void => void process.stdout.write(`${text}\n`);
const names = (prefix: string, count: number): string =>
  Array.from({ length: count }, (_, i) => `${prefix}${String(i).padStart(3, '0')}`).join(',');

let fleet: Fleet;
let stop: (() => Promise<void>) | undefined;
let usualMs: number | undefined;

beforeAll(async () => {
  fleet = await Fleet.start({ pods: 300, churn: 20, seed: 7, fakeNodes: 6, shards: SHARDS, say });
  stop = () => fleet.stop();
  fleet.churn.resume();
}, 240_000);

afterAll(async () => {
  await stop?.();
});

/** Rolls the fleet to `spec`, held against a kube-state-metrics that exports what both templates do. */
async function rolled(
  spec: unknown,
  common: readonly string[],
): Promise<{ ms: number; missing: number; seen: string[] }> {
  const verified: string[] = [];
  const unfinished: string[] = [];
  const off = fleet.log.onEvent((event) => {
    if (event.type === 'shard.migration.verified.v1') verified.push(String(event['detail']));
    if (event.type === 'shard.migration.rolledback.v1') unfinished.push(String(event['reason']));
  });
  try {
    return await fleet.against({ extraArgs: common }, async (verifier) => {
      await verifier.waitFor('a tick', ({ expected }) => expected > 0, 60_000);
      await verifier.startPhase('roll');
      const start = performance.now();
      await roll(fleet, SHARDS, spec, LIMIT_MS);
      const ms = Math.round(performance.now() - start);
      const { missingMax, samples, ticks } = await verifier.endPhase();
      say(`${JSON.stringify(spec)}: ${ms} ms, ${ticks} ticks, ${missingMax} missing ${samples.join(' ')}`);
      say(`  verified: ${[...new Set(verified)].join('\n            ')}`);
      expect(unfinished).toEqual([]);
      return { ms, missing: missingMax, seen: verified };
    });
  } finally {
    off();
  }
}

describe('what is exported changes on a running fleet', () => {
  test.runIf(ALL)('a rolling update that changes nothing exported: the usual time', async () => {
    const { ms, missing } = await rolled({ podAnnotations: { 'demo.shard.io/rolled': 'once' } }, []);
    expect(missing).toBe(0);
    usualMs = ms;
  });

  const denied = (list: string): string[] => [`--namespaces-denylist=${list}`];
  const changes: [string, unknown, readonly string[], RegExp][] = [
    [
      '20 denied namespaces',
      { exporter: { extraArgs: denied(`${names('preview-', 19)},team-1`) } },
      denied('team-1'),
      /of the namespaces that both export: /,
    ],
    [
      'other namespaces',
      { exporter: { extraArgs: ['--namespaces=team-1,team-2,team-3'] } },
      ['--namespaces=team-2,team-3'],
      /of the namespaces that both export: /,
    ],
    [
      'fewer kinds, and all namespaces again',
      { exporter: { extraArgs: [], resources: ['pods', 'nodes', 'deployments', 'services'] } },
      ['--namespaces=team-1,team-2,team-3', '--resources=pods,nodes,deployments,services'],
      /only the source exports /,
    ],
    [
      'all kinds again',
      { exporter: { resources: null } },
      ['--resources=pods,nodes,deployments,services'],
      /only the target exports /,
    ],
  ];
  test.each(ALL ? changes : changes.slice(1, 3))(
    '%s: rolled out, and nothing that both export is ever missing',
    async (name, spec, common, said) => {
      const { ms, missing, seen } = await rolled(spec, common);
      if (usualMs !== undefined) say(`${name}: ${(ms / usualMs).toFixed(2)} of the usual time (1.50 wanted)`);
      expect(missing).toBe(0);
      expect(seen.some((detail) => said.test(detail))).toBe(true);
    },
  );
});
