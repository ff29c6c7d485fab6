import type { Fleet, ShardSeen } from '../cluster.ts';
import { bar, count, green, type Output, percent, red, table, yellow } from '../screen/index.ts';
import { problemsOf } from './status.ts';

/** A ShardConfig, its shards and their workers, as a tree. */
export function drawTree(output: Output, fleets: readonly Fleet[]): string {
  return fleets.map((fleet) => drawFleet(output, fleet)).join('\n\n');
}

interface Line {
  readonly branch: string;
  readonly shard: ShardSeen | undefined;
  readonly pod: string;
  readonly node: string;
  readonly phase: string;
  readonly load: number | undefined;
}

function drawFleet(output: Output, fleet: Fleet): string {
  const { config, shards } = fleet;
  const { metadata, spec, status } = config;
  const head =
    `ShardConfig ${metadata.namespace}/${metadata.name}: ${spec.mode}, ` +
    `${status.readyShards} of ${status.desiredShards} shards ready, ${spec.slots} slots by ${spec.shardBy}`;
  const lines = shards.flatMap((shard, i): Line[] => {
    const isLast = i === shards.length - 1;
    const workers = [...shard.replicas].sort((a, b) => (a.replica < b.replica ? -1 : 1));
    const active = workers.find(({ replica }) => replica === shard.active);
    const standbys = workers.filter(({ replica }) => replica !== shard.active);
    const own = { shard, pod: active?.pod ?? '', node: active?.node ?? '', phase: shard.phase, load: shard.load };
    return [
      { branch: `${isLast ? '└─' : '├─'} ${shard.shardId}`, ...own },
      ...standbys.map(({ pod, node, phase, load }) => ({
        branch: `${isLast ? '  ' : '│ '}    standby`,
        shard: undefined,
        pod,
        node,
        phase,
        load,
      })),
    ];
  });
  const rows = table(lines, [
    { title: 'SHARD', text: ({ branch }) => branch },
    { title: 'POD', text: ({ pod }) => pod || '-' },
    { title: 'PHASE', text: ({ phase }) => colourOf(output, phase) },
    { title: 'LOAD', text: ({ load }) => `${bar(load)} ${percent(load)}` },
    { title: 'OBJECTS', text: ({ shard }) => (shard === undefined ? '' : count(shard.objects)) },
    { title: 'SLOTS', text: ({ shard }) => (shard === undefined ? '' : slotsOf(shard)) },
    ...(output.format === 'wide' ? [{ title: 'NODE', text: ({ node }: Line) => node || '-' }] : []),
  ]);
  return [head, rows, ...problemsOf(fleet).map((problem) => `${yellow(output, '!')} ${problem}`)].join('\n');
}

function slotsOf({ slots, arriving, leaving }: ShardSeen): string {
  const moving = [...(arriving > 0 ? [`+${arriving}`] : []), ...(leaving > 0 ? [`-${leaving}`] : [])];
  return [String(slots.length), ...moving].join(' ');
}

function colourOf(output: Output, phase: string): string {
  if (phase === '') return '-';
  if (phase === 'Running') return green(output, phase);
  return phase === 'Failed' ? red(output, phase) : yellow(output, phase);
}

const KEYS = ['load', 'objects', 'slots', 'name'] as const;
export type SortKey = (typeof KEYS)[number];
export const isSortKey = (text: string): text is SortKey => KEYS.some((key) => key === text);

/** All shards in one table, the largest first. */
export function drawTop(output: Output, fleets: readonly Fleet[], sort: SortKey): string {
  const rows = fleets.flatMap(({ config, shards }) => shards.map((shard) => ({ config: config.metadata.name, shard })));
  const rank = ({ shard }: (typeof rows)[number]): number =>
    ({ load: shard.load ?? -1, objects: shard.objects, slots: shard.slots.length, name: 0 })[sort];
  rows.sort((a, b) => rank(b) - rank(a) || (a.shard.shardId < b.shard.shardId ? -1 : 1));
  return table(
    rows,
    [
      { title: 'CONFIG', text: ({ config }) => config },
      { title: 'SHARD', text: ({ shard }) => shard.shardId },
      { title: 'PHASE', text: ({ shard }) => colourOf(output, shard.phase) },
      { title: 'LOAD', text: ({ shard }) => `${bar(shard.load)} ${percent(shard.load)}` },
      { title: 'OBJECTS', text: ({ shard }) => count(shard.objects) },
      { title: 'SLOTS', text: ({ shard }) => slotsOf(shard) },
      { title: 'LARGEST KINDS', text: ({ shard }) => largestKinds(shard), cut: true },
    ],
    output.width,
  );
}

const largestKinds = ({ kinds }: ShardSeen): string =>
  Object.entries(kinds)
    .sort(([, a], [, b]) => b - a)
    .slice(0, 3)
    .map(([kind, objects]) => `${kind} ${count(objects)}`)
    .join(', ');
