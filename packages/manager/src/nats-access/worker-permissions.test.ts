import { describe, expect, it } from 'vitest';
import { workerPermissions } from './worker-permissions.ts';

const worker = { namespace: 'monitoring', config: 'main', shardId: 'shard-001', replica: 'a' } as const;

describe('what a worker may do on NATS', () => {
  const { pub, sub, resp } = workerPermissions(worker, 'main-a-1');

  it('is to say how it is, to answer once, and to read assignments', () => {
    expect(pub.allow).toEqual([
      'shard.heartbeats.monitoring.main.shard-001.a',
      '$JS.API.STREAM.INFO.SHARD_ASSIGNMENTS',
      '$JS.API.DIRECT.GET.SHARD_ASSIGNMENTS',
      '$JS.API.DIRECT.GET.SHARD_ASSIGNMENTS.>',
    ]);
    expect(sub.allow).toEqual([
      '_INBOX.main-a-1.>',
      'shard.ping.monitoring.main.shard-001.a',
      'shard.verify.monitoring.main.shard-001.a',
      'shard.stored.assignments.monitoring.main.shard-001',
    ]);
    expect(resp.max).toBe(1);
  });

  it('names no wildcard but in its own inbox and in what it reads', () => {
    const wild = [...pub.allow, ...sub.allow].filter((subject) => /[*>]/.test(subject));
    expect(wild).toEqual(['$JS.API.DIRECT.GET.SHARD_ASSIGNMENTS.>', '_INBOX.main-a-1.>']);
  });
});
