import type { ConfigSeen, Fleet } from '../cluster.ts';
import { age, green, type Output, percent, red, table, yellow } from '../screen/index.ts';

/** Whether a ShardConfig is as it should be: Ready, and the newest spec is in force. */
export const isReady = ({ metadata, status }: ConfigSeen): boolean =>
  (status.observedGeneration ?? 0) >= metadata.generation && conditionIs(status, 'Ready', 'True');

function conditionIs({ conditions }: ConfigSeen['status'], type: string, value: string): boolean {
  return conditions.some((condition) => condition.type === type && condition.status === value);
}

/** What a person should know, worst first: each a condition or a worker's own word. */
export function problemsOf({ config, shards }: Fleet): readonly string[] {
  const { conditions } = config.status;
  const bad = conditions.filter(
    ({ type, status }) => (type === 'Ready' && status !== 'True') || (type === 'Degraded' && status === 'True'),
  );
  const held = conditions.filter(({ type, status }) => type === 'ScalingLimited' && status === 'True');
  const said = [...bad, ...held].map(({ type, reason, message }) => `${type}: ${reason}: ${message}`);
  const workers = shards.flatMap(({ shardId, replicas }) =>
    replicas.flatMap(({ refused, unavailable }) => [
      ...(refused === undefined ? [] : [`${shardId}: an assignment was refused: ${refused}`]),
      ...unavailable.map(({ kind, message }) => `${shardId}: ${kind} cannot be read: ${message}`),
    ]),
  );
  return [...said, ...new Set(workers)];
}

export function drawStatus(output: Output, fleets: readonly Fleet[], now: number): string {
  const rows = table(
    fleets,
    [
      { title: 'NAMESPACE', text: ({ config }) => config.metadata.namespace },
      { title: 'NAME', text: ({ config }) => config.metadata.name },
      { title: 'MODE', text: ({ config }) => config.spec.mode },
      { title: 'SHARDS', text: ({ config: { status } }) => `${status.readyShards}/${status.desiredShards}` },
      { title: 'UPDATED', text: ({ config: { status } }) => String(status.updatedShards) },
      { title: 'LOAD', text: ({ config: { status } }) => percent(status.load) },
      { title: 'MOVES', text: ({ config: { status } }) => String(status.openMigrations) },
      { title: 'READY', text: ({ config }) => readiness(output, config) },
      { title: 'LAST DECISION', text: ({ config }) => lastDecision(config, now), cut: true },
    ],
    output.width,
  );
  const problems = fleets.flatMap((fleet) =>
    problemsOf(fleet).map((problem) => `${yellow(output, '!')} ${fleet.config.metadata.name}: ${problem}`),
  );
  return [rows, ...(problems.length === 0 ? [] : ['', ...problems])].join('\n');
}

function readiness(output: Output, config: ConfigSeen): string {
  if (isReady(config)) return green(output, 'yes');
  const { status } = config;
  const isNew = (status.observedGeneration ?? 0) < config.metadata.generation;
  return isNew ? yellow(output, 'not seen yet') : red(output, 'no');
}

function lastDecision({ status }: ConfigSeen, now: number): string {
  const { lastDecision: last } = status;
  if (last === undefined) return '-';
  const at = Date.parse(last.time);
  return Number.isNaN(at) ? last.message : `${age(now - at)} ago: ${last.message}`;
}
