/** The guided run behind `make demo`. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { parseConfig } from '@shard-controller/shared/runtime';
import { z } from 'zod';
import { resolveBinary } from '../cluster/index.ts';
import { CONFIG, Fleet, NAMESPACE, pause } from './fleet.ts';
import { type PhaseResult, runPhase } from './phase.ts';
import { FAILOVER_BAR_MS, TOUR } from './phases.ts';
import { passed, summary, table } from './report.ts';

const settingsSchema = z.object({
  DEMO_OBJECTS: z.coerce
    .number()
    .int()
    .min(100)
    .max(100_000)
    .default(3000)
    .describe('pods; other kinds come in proportion'),
  DEMO_CHURN: z.coerce.number().int().min(0).max(1000).default(50).describe('changes a second'),
  DEMO_PUSHDOWN: z.enum(['on', 'off']).default('on').describe('whether the API server may filter by hash ranges'),
  DEMO_SEED: z.coerce.number().int().min(0).max(4_294_967_295).default(1).describe('seed of objects and churn'),
});

const say = (text: string): void => void process.stdout.write(`${text}\n`);

const FAKE_NODES = 20;

async function main(): Promise<number> {
  const settings = parseConfig(settingsSchema, process.env);
  const interrupted = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => interrupted.abort());

  say('\nshard-controller demo: a real kube-state-metrics fleet is resharded under load without losing a series.\n');
  say(exporterIdentity());
  say('\n== Start ==');
  const starting = Fleet.start({
    pods: settings.DEMO_OBJECTS,
    churn: settings.DEMO_CHURN,
    seed: settings.DEMO_SEED,
    fakeNodes: FAKE_NODES,
    shards: 2,
    pushdown: settings.DEMO_PUSHDOWN === 'on',
    say,
  });
  const fleet = await starting;
  try {
    return await tour(fleet, settings, interrupted.signal);
  } finally {
    await fleet.stop();
  }
}

async function tour(fleet: Fleet, settings: z.infer<typeof settingsSchema>, signal: AbortSignal): Promise<number> {
  fleet.churn.resume();
  const first = await fleet.verifier.waitFor('the first ticks', (live) => live.expected > 0, 30_000);
  say(
    `          churn: ${settings.DEMO_CHURN} changes a second (40 % status, 20 % label, 15 % create, 15 % delete, 10 % re-create)`,
  );
  say(
    `          the verifier looks at ${first.expected} series of every target, a series is missing when no target has it`,
  );

  const results: PhaseResult[] = [];
  for (const [index, phase] of TOUR.entries()) {
    if (signal.aborted) break;
    say(`\n== ${index + 1} of ${TOUR.length}: ${phase.name} ==\n${phase.about}`);
    const result = await runPhase(fleet, phase, say);
    results.push(result);
    tellResult(result);
  }
  const { failed, ...counts } = fleet.churn.counts;
  say(
    `\nchurn in all: ${Object.entries(counts)
      .map(([kind, n]) => `${n} ${kind}`)
      .join(', ')}; ${failed} requests failed`,
  );

  const loss = results.find((result) => !result.planned);
  const failoverMs = loss?.missingUntilMs ?? null;
  const ok = !signal.aborted && results.every(passed) && failoverMs !== null && failoverMs <= FAILOVER_BAR_MS;
  say(`\n${table(results)}`);
  if (failoverMs !== null) {
    say(
      `\nfailover: all series of the lost worker back after ${(failoverMs / 1000).toFixed(1)} s (at most ${FAILOVER_BAR_MS / 1000} s wanted)`,
    );
  }
  if (process.stdout.isTTY && !signal.aborted) await stay(fleet, signal);
  say(summary(results, failoverMs, ok));
  return ok ? 0 : 1;
}

function tellResult(result: PhaseResult): void {
  const { missingMax, doubledMax, doubledMs, slotsMoved, slotsMinimum, ticks, ticksPromised, intervalMs } = result;
  say(
    `          ${passed(result) ? 'ok' : 'FAILED'}: ${missingMax} series missing, ${doubledMax} doubled (one for ${doubledMs} ms at most), ` +
      `${slotsMoved} slots moved (${slotsMinimum} is the least), ${ticks} of ${ticksPromised} ticks every ${intervalMs} ms`,
  );
  say(`          ${result.compared}`);
  for (const failure of [...result.failures, ...(result.unjudged === undefined ? [] : [result.unjudged])])
    say(`          failure: ${failure}`);
  for (const sample of result.samples) say(`          ${sample}`);
}

/** On a terminal the fleet stays up until Ctrl-C. */
async function stay(fleet: Fleet, signal: AbortSignal): Promise<void> {
  const kubeconfig = `${fleet.cluster.dataFolder}/kubeconfig`;
  await fleet.cluster.writeOutsideKubeconfig(kubeconfig);
  say(`
The fleet stays up. In another terminal:

  export KUBECONFIG=${kubeconfig}
  kubectl -n ${NAMESPACE} get shardconfigs,shardinstances,pods -o wide
  kubectl -n ${NAMESPACE} patch shardconfig ${CONFIG} --type merge -p '{"spec":{"shards":2}}'
  kubectl -n ${NAMESPACE} describe shardconfig ${CONFIG}
  kubectl -n ${NAMESPACE} delete pod ${CONFIG}-a-0        # drains first: no series is lost
  less ${fleet.cluster.logFolder}/pods/*

Ctrl-C ends it.`);
  while (!signal.aborted) await pause(200);
}

/** The exporter under the workers and the reference is one and the same file. */
function exporterIdentity(): string {
  const path = resolveBinary('kube-state-metrics');
  const version = execFileSync(path, ['version'], { encoding: 'utf8' }).split('\n')[0] ?? '';
  const hash = createHash('sha256').update(readFileSync(path)).digest('hex').slice(0, 16);
  return `exporter: ${version.trim()} (sha256 ${hash}…), the same file for the workers and for the reference`;
}

process.exitCode = await main().catch((error: unknown) => {
  say(`\nthe demo could not run: ${error instanceof Error ? error.message : String(error)}`);
  say(JSON.stringify({ demo: 'failed', phases: [], failoverMs: null }));
  return 1;
});
