import type { Assignment, Heartbeat } from '@shard-controller/shared/contracts';
import type { NatsLink } from '@shard-controller/shared/nats';
import { describe, expect, it } from 'vitest';
import { confirmByPeer } from './peer-replica.ts';
import type { WorkerIdentity } from './worker-identity.ts';

const identity: WorkerIdentity = {
  namespace: 'monitoring',
  config: 'main',
  uid: 'uid-1',
  shardId: 'shard-000',
  replica: 'a',
  pod: 'main-a-0',
  node: 'n1',
  revision: 'r1',
  boot: 'b1',
  shardInstance: 'main-shard-000',
};
const current: Assignment = {
  v: 'shard.assignment.v1',
  shardConfig: { namespace: 'monitoring', name: 'main', uid: 'uid-1' },
  shardId: 'shard-000',
  generation: 2,
  epoch: 7,
  activeReplica: 'a',
  slotCount: 64,
  shardBy: 'uid',
  hashRanges: [],
  warmRanges: [],
  releaseRanges: [],
};
const peer: Heartbeat = {
  v: 'shard.heartbeat.v1',
  uid: 'uid-1',
  shardId: 'shard-000',
  replica: 'b',
  pod: 'main-b-0',
  node: 'n2',
  boot: 'b2',
  sequence: 1,
  sentAt: 1,
  revision: 'r1',
  phase: 'Running',
  generation: 2,
  epoch: 7,
  feeds: { synced: 1, total: 1, oldestProofMs: 1 },
  exporter: { state: 'running', since: 1 },
  gateway: { state: 'standby', reason: '', scrapers: [] },
  slots: { assigned: 0, acknowledged: 0 },
  load: { objects: 0, expositionBytes: 0, memoryBytes: 0, scrapeDurationMs: 0, queueDepth: 0, objectsByResource: {} },
  handovers: [],
};

/** A link whose other end gives this answer; the subjects that were asked. */
function linkTo(answer: object | 'no-responders' | 'timeout' | 'disconnected') {
  const asked: string[] = [];
  const link: Pick<NatsLink, 'request'> = {
    request: ({ subject, schema }) => {
      asked.push(subject);
      if (typeof answer === 'string') return Promise.resolve({ kind: answer });
      return Promise.resolve({ kind: 'reply', reply: { ok: true, value: schema.parse(answer) } });
    },
  };
  return { link, asked };
}

describe('after a stall the active replica', () => {
  it.each(['standby', 'fenced'] as const)(
    'keeps serving when the other one is %s under the same epoch',
    async (state) => {
      const { link, asked } = linkTo({ ...peer, gateway: { ...peer.gateway, state } });
      await expect(confirmByPeer(link, identity, current)).resolves.toBeUndefined();
      expect(asked).toEqual(['shard.ping.monitoring.main.shard-000.b']);
    },
  );

  it.each<[string, object | 'no-responders' | 'timeout' | 'disconnected']>([
    ['serves under a newer epoch', { ...peer, epoch: 8, gateway: { ...peer.gateway, state: 'serving' } }],
    ['was promoted, and stalled itself', { ...peer, epoch: 8, gateway: { ...peer.gateway, state: 'fenced' } }],
    [
      'has just started and knows no assignment',
      { ...peer, generation: 0, epoch: 0, gateway: { ...peer.gateway, state: 'warming' } },
    ],
    ['still serves under an older epoch', { ...peer, epoch: 6, gateway: { ...peer.gateway, state: 'serving' } }],
    ['is of another ShardConfig of the same name', { ...peer, uid: 'uid-2' }],
    ['is gone', 'no-responders'],
    ['does not answer', 'timeout'],
    ['cannot be asked', 'disconnected'],
  ])('waits for the API server when the other one %s', async (_, answer) => {
    await expect(confirmByPeer(linkTo(answer).link, identity, current)).rejects.toThrow(/^replica b (on NATS: |is )/);
  });

  it('asks nobody when it is the standby, or has none', async () => {
    const { link, asked } = linkTo(peer);
    const { activeReplica: _, ...alone } = current;
    await expect(confirmByPeer(link, identity, { ...current, activeReplica: 'b' })).rejects.toThrow(
      'no other replica stands by',
    );
    await expect(confirmByPeer(link, identity, alone)).rejects.toThrow('no other replica stands by');
    await expect(confirmByPeer(link, identity, undefined)).rejects.toThrow('no other replica stands by');
    expect(asked).toEqual([]);
  });
});
