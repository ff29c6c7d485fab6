import { describe, expect, it } from 'vitest';
import { FakeLink, heartbeatOf } from '../testing/index.ts';
import { listenForHeartbeats } from './heartbeats.ts';
import { ping } from './ping.ts';

const heartbeat = heartbeatOf({ shardId: 'shard-001', pod: 'main-a-1', sequence: 4 });

function listen(): { heard: string[]; invalid: string[]; link: FakeLink } {
  const link = new FakeLink();
  const heard: string[] = [];
  const invalid: string[] = [];
  listenForHeartbeats({
    link,
    onHeartbeat: (address, { boot }) => heard.push(`${address.config}/${address.shardId}/${boot}`),
    onInvalid: (subject, reason) => invalid.push(`${subject}: ${reason}`),
  });
  return { heard, invalid, link };
}

describe('listenForHeartbeats', () => {
  it('hands on a heartbeat with the address of its subject', () => {
    const { heard, invalid, link } = listen();
    link.deliver('shard.heartbeats.monitoring.main.shard-001.a', heartbeat);
    expect(heard).toEqual(['main/shard-001/b1']);
    expect(invalid).toEqual([]);
  });

  it.each([
    ['text', 'shard.heartbeats.monitoring.main.shard-001.a', 'hello'],
    ['a missing field', 'shard.heartbeats.monitoring.main.shard-001.a', { ...heartbeat, boot: undefined }],
    ['a subject of another form', 'shard.heartbeats.monitoring.main', heartbeat],
    ["another shard's subject", 'shard.heartbeats.monitoring.main.shard-002.a', heartbeat],
    ["another replica's subject", 'shard.heartbeats.monitoring.main.shard-001.b', heartbeat],
  ])('counts %s as invalid and goes on', (_, subject, data) => {
    const { heard, invalid, link } = listen();
    link.deliver(subject, data);
    link.deliver('shard.heartbeats.monitoring.main.shard-001.a', heartbeat);
    expect(invalid).toHaveLength(1);
    expect(heard).toHaveLength(1);
  });
});

describe('ping', () => {
  const address = { namespace: 'monitoring', config: 'main', shardId: 'shard-001', replica: 'a' } as const;

  it.each([
    ['no-responders', 'gone'],
    ['timeout', 'silent'],
    ['disconnected', 'unknown'],
  ] as const)('takes %s for %s', async (answer, kind) => {
    expect((await ping(new FakeLink(() => answer), address, 100)).kind).toBe(kind);
  });

  it('returns the heartbeat of a worker that answers, and no evidence when the answer is invalid', async () => {
    expect(await ping(new FakeLink(() => heartbeat), address, 100)).toMatchObject({
      kind: 'alive',
      heartbeat: { boot: 'b1' },
    });
    expect((await ping(new FakeLink(() => ({ a: 1 })), address, 100)).kind).toBe('unknown');
  });
});
