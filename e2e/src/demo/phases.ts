import { minimumMoves, minimumRolloutMoves } from './minimum-moves.ts';
import { type Fleet, pause, type PodView, NAMESPACE } from './fleet.ts';
import { midMigration, type Phase } from './phase.ts';

const shards = (count: number): string[] =>
  Array.from({ length: count }, (_, i) => `shard-${String(i).padStart(3, '0')}`);

const CONVERGE_MS = 120_000;
const NATS_OUTAGE_MS = 15_000;

export function resize(from: number, to: number): Phase {
  return {
    name: `resize ${from} -> ${to}`,
    about: `ShardConfig spec.shards becomes ${to}; the slots move while every exporter keeps running.`,
    planned: true,
    expectation: 'reference',
    minimum: (owners) => minimumMoves(owners, shards(to)),
    act: async (fleet) => {
      await fleet.setShards(to);
      await fleet.converged(to, CONVERGE_MS);
    },
  };
}

function rollingUpdate(count: number): Phase {
  return {
    name: 'rolling update',
    about:
      'The worker template changes. One extra worker takes over, then each pod is emptied, deleted and comes back.',
    planned: true,
    expectation: 'reference',
    minimum: (owners) => minimumRolloutMoves(owners, shards(count)),
    act: (fleet) =>
      roll(fleet, count, { podAnnotations: { 'demo.shard.io/rolled': new Date().toISOString() } }, 2 * CONVERGE_MS),
  };
}

/** Changes the spec, and with it the workers' template; resolves when all workers are new ones. */
export async function roll(fleet: Fleet, count: number, spec: unknown, withinMs: number): Promise<void> {
  const before = (await fleet.workers()).map((pod) => pod.metadata.uid);
  await fleet.patchConfig({ spec });
  const deadline = performance.now() + withinMs;
  for (;;) {
    const workers = await fleet.workers();
    const rolled = workers.every((pod) => !before.includes(pod.metadata.uid)) && workers.length === count;
    if (rolled && (await fleet.isConverged(count))) return;
    if (performance.now() > deadline) throw new Error('the rolling update did not end in time');
    await pause(200);
  }
}

/** A worker alone on its node, or else one that shares it with anything but the leading manager. */
export async function victim(fleet: Fleet): Promise<PodView> {
  const [workers, all, leader] = await Promise.all([fleet.workers(), fleet.pods(''), fleet.leader()]);
  const company = (pod: PodView): PodView[] =>
    all.filter((other) => other.spec.nodeName === pod.spec.nodeName && other.metadata.uid !== pod.metadata.uid);
  const found =
    workers.find((pod) => company(pod).length === 0) ??
    workers.find((pod) => pod.spec.nodeName !== leader?.spec.nodeName);
  if (found === undefined) throw new Error('every worker shares its node with the leading manager');
  return found;
}

function nodeLoss(count: number): Phase {
  let lost = '';
  return {
    name: 'loss of a node',
    about: 'All processes of a worker pod get SIGKILL at once and nothing restarts them: its slots go to the others.',
    planned: false,
    expectation: 'reference',
    minimum: (owners) => Math.ceil(owners.length / count),
    act: async (fleet, say) => {
      const pod = await victim(fleet);
      const node = fleet.cluster.nodeOf(NAMESPACE, pod.metadata.name);
      if (node === undefined) throw new Error(`no node runs ${pod.metadata.name}`);
      lost = node.name;
      say(`          ${pod.metadata.name} dies with ${lost}`);
      const owner = `shard-${(pod.metadata.name.split('-').at(-1) ?? '').padStart(3, '0')}`;
      await node.lose();
      const deadline = performance.now() + CONVERGE_MS;
      while (fleet.log.owners.includes(owner) || fleet.log.open.length > 0) {
        if (performance.now() > deadline)
          throw new Error(`the slots of ${owner} were not taken over within ${CONVERGE_MS / 1000} s`);
        await pause(50);
      }
      // Taken over is not yet shown: the phase ends when a tick finds every expected series again.
      let missing = fleet.verifier.newest?.missingUntilMs ?? 0;
      await fleet.verifier.waitFor('all series back', (live) => {
        const back = live.missingUntilMs === missing && live.expected > 0;
        missing = live.missingUntilMs;
        return back;
      });
    },
    after: async (fleet, say) => {
      const node = fleet.cluster.nodes.find((candidate) => candidate.name === lost);
      await node?.recover();
      await fleet.converged(count, CONVERGE_MS);
      say(`          ${lost} is repaired; its worker is back and has its share of the slots again`);
    },
  };
}

function managerKill(from: number, to: number): Phase {
  return {
    ...resize(from, to),
    name: 'manager killed',
    about: 'The leading manager gets SIGKILL while slots move. The other one goes on from the event log.',
    act: async (fleet, say) => {
      await fleet.setShards(to);
      const migration = await midMigration(fleet);
      const leader = await fleet.leader();
      if (leader === undefined) throw new Error('no manager leads');
      say(
        `          ${migration.id} is in ${migration.step} with ${migration.slots.length} slots: SIGKILL ${leader.metadata.name}`,
      );
      fleet.cluster.nodeOf(NAMESPACE, leader.metadata.name)?.killContainer(leader.metadata.name, 'manager');
      await fleet.converged(to, CONVERGE_MS);
    },
  };
}

function natsOutage(from: number, to: number): Phase {
  return {
    ...resize(from, to),
    name: 'NATS down 15 s',
    about: 'nats-server is killed while slots move and comes back after 15 s. No decision meanwhile, and none is lost.',
    act: async (fleet, say) => {
      await fleet.setShards(to);
      const migration = await midMigration(fleet);
      say(`          ${migration.id} is in ${migration.step} with ${migration.slots.length} slots: NATS goes down`);
      await fleet.cluster.killNats();
      const moved = fleet.log.slotsMoved;
      await pause(NATS_OUTAGE_MS);
      if (fleet.log.slotsMoved !== moved) throw new Error('slots moved while NATS was down');
      await fleet.cluster.startNats();
      say('          NATS is back');
      await fleet.converged(to, CONVERGE_MS);
    },
  };
}

function apiServerRestart(from: number, to: number): Phase {
  return {
    ...resize(from, to),
    name: 'API server restart',
    about:
      'kube-apiserver is killed and restarted while slots move. The reference clears its stores here; the workers must not.',
    expectation: 'frozen',
    before: async (fleet) => {
      fleet.churn.setMode('values');
      // Names that come back after a deletion need 3 s, and the verifier 2 s to expect them.
      await pause(6000);
    },
    act: async (fleet, say) => {
      await fleet.setShards(to);
      const migration = await midMigration(fleet);
      say(
        `          ${migration.id} is in ${migration.step} with ${migration.slots.length} slots: the API server restarts`,
      );
      await fleet.cluster.restartApiServer('killed');
      say('          the API server is back');
      await fleet.converged(to, CONVERGE_MS);
    },
  };
}

/** The whole tour: it starts and ends with 2 shards. The last three move 32 slots or more from one shard to another. */
export const TOUR: readonly Phase[] = [
  resize(2, 4),
  resize(4, 3),
  rollingUpdate(3),
  nodeLoss(3),
  managerKill(3, 2),
  natsOutage(2, 4),
  apiServerRestart(4, 2),
];

/** Longest time that the series of a lost worker may be away at default settings, ms. */
export const FAILOVER_BAR_MS = 10_000;
