import { KubernetesError, resourcePath } from '@shard-controller/shared/kubernetes';
import { PATIENCE_MS, waitUntil } from '@shard-controller/shared/testing';
import { type Fleet, NAMESPACE } from '../demo/fleet.ts';
import { roll, victim } from '../demo/phases.ts';
import type { VerifierProcess } from '../verifier/index.ts';

const say = (text: string): void => void process.stdout.write(`${text}\n`);

/** What is done to any fleet now and then. */
export interface UsualChange {
  readonly name: string;
  /** Resolves when the fleet is whole again. */
  readonly act: (fleet: Fleet) => Promise<void>;
}

export const scale = (to: number): UsualChange => ({
  name: `scale to ${to}`,
  act: async (fleet) => {
    await fleet.setShards(to);
    await fleet.converged(to, PATIENCE_MS);
  },
});

/** As `kubectl drain` does it: no new pods on the node, and an eviction of the worker that runs there. */
const drain = (shards: number): UsualChange => ({
  name: 'drain of a node',
  act: async (fleet) => {
    const { metadata, spec } = await victim(fleet);
    const { admin } = fleet.cluster;
    const node = resourcePath({ group: '', version: 'v1', resource: 'nodes', name: spec.nodeName ?? '' });
    await admin.patch(node, { spec: { unschedulable: true } });
    try {
      await waitUntil('the eviction is granted', () => evict(fleet, metadata.name));
      await waitUntil('the evicted worker is replaced', async () => {
        const workers = await fleet.workers();
        const isThere = workers.some((pod) => pod.metadata.uid === metadata.uid);
        return !isThere && workers.length === shards && (await fleet.isConverged(shards));
      });
    } finally {
      await admin.patch(node, { spec: { unschedulable: null } });
    }
  },
});

/** False while a PodDisruptionBudget refuses it. */
async function evict(fleet: Fleet, name: string): Promise<boolean> {
  const path = resourcePath({ group: '', version: 'v1', resource: 'pods', namespace: NAMESPACE, name });
  const metadata = { name, namespace: NAMESPACE };
  try {
    await fleet.cluster.admin.create(`${path}/eviction`, { apiVersion: 'policy/v1', kind: 'Eviction', metadata });
    return true;
  } catch (error) {
    if (error instanceof KubernetesError && error.status === 429) return false;
    throw error;
  }
}

const update = (shards: number): UsualChange => ({
  name: 'rolling update',
  act: (fleet) =>
    roll(fleet, shards, { podAnnotations: { 'demo.shard.io/rolled': new Date().toISOString() } }, 2 * PATIENCE_MS),
});

/** Begin and end with 3 shards. */
export const USUAL_CHANGES: readonly UsualChange[] = [scale(4), drain(4), scale(3), update(3)];

/** What a change has cost. */
export interface Outcome {
  readonly name: string;
  /** How long it took. ms. */
  readonly ms: number;
  /** Why moves were rolled back. */
  readonly unfinished: readonly string[];
  /** Most series of the reference that were missing in a look, for how long in all, and some of them. */
  readonly missingMax: number;
  readonly missingMs: number;
  readonly samples: readonly string[];
}

export const FLAWLESS = { unfinished: [], missingMax: 0, missingMs: 0, samples: [] } as const;

export async function changed(fleet: Fleet, verifier: VerifierProcess, { name, act }: UsualChange): Promise<Outcome> {
  const unfinished: string[] = [];
  const off = fleet.log.onEvent((event) => {
    if (event.type === 'shard.migration.rolledback.v1') unfinished.push(String(event['reason']));
  });
  try {
    await verifier.waitFor('nothing doubled any more', ({ expected, doubledNow }) => expected > 0 && doubledNow === 0);
    await verifier.startPhase(name);
    const began = performance.now();
    await act(fleet);
    const ms = Math.round(performance.now() - began);
    const { missingMax, missingMs, doubledMax, ticks, ticksPromised, samples } = await verifier.endPhase();
    say(
      `${name}: ${ms} ms, ${ticks} of ${ticksPromised} ticks, ${missingMax} missing, ${doubledMax} doubled ${samples.join(' ')}`,
    );
    return { name, ms, unfinished, missingMax, missingMs, samples };
  } finally {
    off();
  }
}

/** What a reference exports that is compared with workers who may not read configmaps. */
export const ALL_BUT_CONFIGMAPS = { extraArgs: ['--metric-denylist=^kube_configmap_.*'] } as const;

const CONFIGMAPS_FORBIDDEN = new RegExp(
  '^KindUnavailable: configmaps: forbidden since .* for shard-00.*: configmaps is forbidden: .*' +
    'Remedy: grant .* get, list and watch on /api/v1/configmaps',
);

/** Waits until the fleet's condition names the kind, the cause and the remedy. */
export function namesConfigmaps(fleet: Fleet): Promise<void> {
  return says(fleet, (text) => CONFIGMAPS_FORBIDDEN.test(text));
}

export function namesNothing(fleet: Fleet): Promise<void> {
  return says(fleet, (text) => text === '');
}

/** Waits for what the condition Degraded says; '' while it is not so. */
async function says(fleet: Fleet, holds: (text: string) => boolean): Promise<void> {
  let said = '';
  await waitUntil(
    'the condition Degraded says what it should',
    async () => {
      const { conditions } = (await fleet.config()).status;
      const found = conditions.find(({ type, status }) => type === 'Degraded' && status === 'True');
      said = found === undefined ? '' : `${found.reason}: ${found.message}`;
      return holds(said);
    },
    { everyMs: 100, context: () => said },
  );
}
