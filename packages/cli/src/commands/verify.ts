import { z } from 'zod';
import type { Fleet } from '../cluster.ts';
import type { Kubectl } from '../kubectl.ts';
import { count, green, type Output, red, table } from '../screen/index.ts';

/** Objects of one kind: those that the workers say they show, and those that the API server has. */
export interface KindCount {
  readonly config: string;
  readonly kind: string;
  readonly shown: number;
  /** Undefined when it cannot be counted. */
  readonly present: number | undefined;
}

const pageSchema = z.looseObject({
  metadata: z.looseObject({ remainingItemCount: z.number().optional(), continue: z.string().optional() }).prefault({}),
  items: z.array(z.unknown()),
});

const resourcesSchema = z.looseObject({
  resources: z.array(z.looseObject({ name: z.string() })).default([]),
});

const groupsSchema = z.looseObject({
  groups: z.array(z.looseObject({ name: z.string(), preferredVersion: z.looseObject({ groupVersion: z.string() }) })),
});

/**
 * Compares, kind by kind, what all shards of a fleet show together with what the API server has: one object of each kind
 * is read. Counts of a moment: under churn they differ by what changed meanwhile.
 */
export async function countKinds(kubectl: Kubectl, fleet: Fleet): Promise<readonly KindCount[]> {
  const shown = new Map<string, number>();
  for (const { kinds } of fleet.shards) {
    for (const [kind, objects] of Object.entries(kinds)) shown.set(kind, (shown.get(kind) ?? 0) + objects);
  }
  const paths = await collectionPaths(kubectl, [...shown.keys()]);
  return Promise.all(
    [...shown]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(async ([kind, objects]) => {
        const path = paths.get(kind);
        return {
          config: fleet.config.metadata.name,
          kind,
          shown: objects,
          present: path === undefined ? undefined : await objectsAt(kubectl, path),
        };
      }),
  );
}

/** `pods` and `widgets.example.com` to `/api/v1/pods` and `/apis/example.com/v1/widgets`. */
async function collectionPaths(kubectl: Kubectl, kinds: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const paths = new Map<string, string>();
  const { groups } = groupsSchema.parse(JSON.parse(await kubectl.run(['get', '--raw', '/apis'])));
  const versions = ['/api/v1', ...groups.map(({ preferredVersion }) => `/apis/${preferredVersion.groupVersion}`)];
  await Promise.all(
    versions.map(async (version) => {
      const { ok, text } = await kubectl.raw(version);
      if (!ok) return;
      const group = version.startsWith('/apis/') ? version.slice('/apis/'.length).split('/')[0] : '';
      for (const { name } of resourcesSchema.parse(JSON.parse(text)).resources) {
        const full = group === '' ? name : `${name}.${group}`;
        for (const kind of [full, name])
          if (kinds.includes(kind) && !paths.has(kind)) paths.set(kind, `${version}/${name}`);
      }
    }),
  );
  return paths;
}

async function objectsAt(kubectl: Kubectl, path: string): Promise<number | undefined> {
  const { ok, text } = await kubectl.raw(`${path}?limit=1`);
  if (!ok) return undefined;
  const { metadata, items } = pageSchema.parse(JSON.parse(text));
  return items.length + (metadata.remainingItemCount ?? 0);
}

export const isEqual = ({ shown, present }: KindCount): boolean => present === undefined || shown === present;

export function drawCounts(output: Output, counts: readonly KindCount[]): string {
  return table(counts, [
    { title: 'CONFIG', text: ({ config }) => config },
    { title: 'KIND', text: ({ kind }) => kind },
    { title: 'SHOWN', text: ({ shown }) => count(shown) },
    { title: 'IN CLUSTER', text: ({ present }) => (present === undefined ? '?' : count(present)) },
    { title: 'RESULT', text: (each) => resultOf(output, each) },
  ]);
}

function resultOf(output: Output, each: KindCount): string {
  if (each.present === undefined) return 'cannot be counted';
  const more = each.shown - each.present;
  if (more === 0) return green(output, 'equal');
  return red(output, more < 0 ? `${count(-more)} missing` : `${count(more)} duplicate or gone`);
}
