import { z } from 'zod';
import { readFleets } from '../cluster.ts';
import { managerPods } from '../inspection-client.ts';
import type { Kubectl } from '../kubectl.ts';
import { green, type Output, red } from '../screen/index.ts';
import { isReady, problemsOf } from './status.ts';

/** One thing that has to be so. */
export interface Check {
  readonly group: string;
  readonly name: string;
  readonly ok: boolean;
  /** What was seen, and what to do when it is not so. */
  readonly detail: string;
}

const DEFINITIONS = ['shardconfigs.shard.io', 'shardinstances.shard.io'];

const definitionSchema = z.looseObject({
  status: z
    .looseObject({ conditions: z.array(z.looseObject({ type: z.string(), status: z.string() })).default([]) })
    .prefault({}),
});

/** Looks at everything that a working installation needs. Each check stands by itself: one that fails hides no other. */
export async function runChecks(kubectl: Kubectl): Promise<readonly Check[]> {
  const groups = await Promise.all([definitions(kubectl), managers(kubectl), configs(kubectl)]);
  return groups.flat();
}

async function attempt(
  group: string,
  name: string,
  work: () => Promise<Omit<Check, 'group' | 'name'>>,
): Promise<Check> {
  try {
    return { group, name, ...(await work()) };
  } catch (error) {
    return { group, name, ok: false, detail: error instanceof Error ? error.message : String(error) };
  }
}

const definitions = (kubectl: Kubectl): Promise<readonly Check[]> =>
  Promise.all(
    DEFINITIONS.map((name) =>
      attempt('definitions', name, async () => {
        const found = await kubectl.find(['get', 'customresourcedefinitions.apiextensions.k8s.io', name]);
        if (found === undefined) return { ok: false, detail: 'is not installed: install the chart, or apply crds/' };
        const { conditions } = definitionSchema.parse(found).status;
        const ok = conditions.some(({ type, status }) => type === 'Established' && status === 'True');
        return { ok, detail: ok ? 'is served' : 'is not established: kubectl describe crd tells why' };
      }),
    ),
  );

const managers = async (kubectl: Kubectl): Promise<readonly Check[]> => [
  await attempt('managers', 'run', async () => {
    const pods = await managerPods(kubectl);
    if (pods.length === 0) return { ok: false, detail: 'no manager runs in this namespace; choose it with -n' };
    return { ok: true, detail: pods.map(({ name }) => name).join(', ') };
  }),
];

const configs = async (kubectl: Kubectl): Promise<readonly Check[]> => {
  try {
    const fleets = await readFleets(kubectl, {});
    return fleets.map((fleet) => {
      const problems = problemsOf(fleet);
      const ok = isReady(fleet.config);
      const { readyShards, desiredShards } = fleet.config.status;
      return {
        group: 'shards',
        name: fleet.config.metadata.name,
        ok,
        detail: ok ? `${readyShards} of ${desiredShards} shards are ready` : (problems[0] ?? 'is not Ready'),
      };
    });
  } catch (error) {
    return [
      { group: 'shards', name: 'exist', ok: false, detail: error instanceof Error ? error.message : String(error) },
    ];
  }
};

export function drawChecks(output: Output, checks: readonly Check[]): string {
  const groups = Map.groupBy(checks, ({ group }) => group);
  const lines = [...groups].flatMap(([group, members]) => [
    group,
    ...members.map(({ name, ok, detail }) => `  ${ok ? green(output, '√') : red(output, '×')} ${name}: ${detail}`),
  ]);
  const failed = checks.filter(({ ok }) => !ok).length;
  return [...lines, '', failed === 0 ? 'all is well' : `${failed} of ${checks.length} checks failed`].join('\n');
}
