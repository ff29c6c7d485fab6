import { expect, test } from 'vitest';
import { loadWorkerConfig } from './config.ts';
import { capacityOf, identityOf, natsConfig } from './settings.ts';

const config = (over: Readonly<Record<string, string>> = {}) =>
  loadWorkerConfig({
    POD_NAME: 'main-b-2',
    POD_NAMESPACE: 'monitoring',
    NODE_NAME: 'n1',
    SHARD_CONFIG: 'main',
    SHARD_CONFIG_UID: 'uid-1',
    REVISION: 'r1',
    NATS_URL: 'nats://nats:4222',
    ...over,
  });

test('a worker is who its pod name says, and another one at each start', () => {
  const [first, second] = [identityOf(config()), identityOf(config())];
  expect(first).toMatchObject({ replica: 'b', shardId: 'shard-002', shardInstance: 'main-shard-002', uid: 'uid-1' });
  expect(first.boot).not.toBe(second.boot);
});

test('credentials and CA are used where they are named', () => {
  expect(natsConfig(config())).toEqual({ servers: config().NATS_URL, inbox: 'main-b-2' });
  expect(natsConfig(config({ NATS_CREDENTIALS_FILE: '/c', NATS_CA_FILE: '/ca' }))).toMatchObject({
    auth: { kind: 'credentials', file: '/c' },
    tls: { caFile: '/ca' },
  });
  expect(natsConfig(config({ NATS_TOKEN_FILE: '/t' })).auth).toEqual({ kind: 'token-file', file: '/t' });
});

test('measures without a capacity do not count', () => {
  expect(capacityOf(config({ CAPACITY_OBJECTS: '100' }))).toEqual({
    objects: 100,
    expositionBytes: undefined,
    memoryBytes: undefined,
    scrapeDurationMs: undefined,
    queueDepth: undefined,
  });
});
