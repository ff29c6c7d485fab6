import { expect, it } from 'vitest';
import { parsePodName } from './worker-identity.ts';

it.each([
  ['main-a-0', { config: 'main', replica: 'a', shardId: 'shard-000' }],
  ['main-b-12', { config: 'main', replica: 'b', shardId: 'shard-012' }],
  ['main-s-1000', { config: 'main', replica: 'a', shardId: 'shard-1000' }],
  ['my-a-config-a-1234', { config: 'my-a-config', replica: 'a', shardId: 'shard-1234' }],
])('reads shard and replica from the pod name %s', (pod, identity) => {
  expect(parsePodName(pod)).toEqual(identity);
});

it.each(['main-0', 'main-c-0', 'main-a-00', 'main-a-', 'a-0', '-a-0', 'main-a-123456', 'Main-a-0'])(
  'knows no worker in the pod name %s',
  (pod) => {
    expect(parsePodName(pod)).toBeUndefined();
  },
);
