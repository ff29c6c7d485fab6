import { expect, it } from 'vitest';
import { loadWorkerConfig } from './config.ts';

const pod = {
  POD_NAME: 'main-a-3',
  POD_NAMESPACE: 'monitoring',
  SHARD_CONFIG: 'main',
  SHARD_CONFIG_UID: 'uid-1',
  NATS_URL: 'nats://nats:4222',
};

it('needs nothing but what the pod template sets', () => {
  expect(loadWorkerConfig(pod)).toMatchObject({
    worker: { shardId: 'shard-003', replica: 'a' },
    GATEWAY_PORT: 8080,
    SCRAPE_HOLD_MS: 2000,
    DRAIN_TIMEOUT_MS: 170_000,
    ISOLATION: 'Serve',
    CUSTOM_RESOURCES: [],
  });
});

it('names every variable that is wrong, at once', () => {
  const broken = { ...pod, NATS_URL: 'http://x', GATEWAY_PORT: '99999', POD_NAMESPACE: '', LOG_LEVEL: 'loud' };
  expect(() => loadWorkerConfig(broken)).toThrow(/NATS_URL.*nats:\/\//);
  expect(() => loadWorkerConfig(broken)).toThrow(/GATEWAY_PORT is "99999".*65535/);
  expect(() => loadWorkerConfig(broken)).toThrow(/POD_NAMESPACE is not set/);
  expect(() => loadWorkerConfig(broken)).toThrow(/LOG_LEVEL is "loud"/);
});

it.each(['main-0', 'main-c-0', 'other-a-0', 'main'])(
  'refuses the pod name %s and says what makes the right one',
  (name) => {
    expect(() => loadWorkerConfig({ ...pod, POD_NAME: name })).toThrow(
      /POD_NAME is ".*", expected main-\(a\|b\|s\)-<ordinal>.*StatefulSet that the manager creates/,
    );
  },
);

it('reads the kinds of custom-resource-state', () => {
  const { CUSTOM_RESOURCES } = loadWorkerConfig({ ...pod, CUSTOM_RESOURCES: 'Widget.example.com, *.example.org' });
  expect(CUSTOM_RESOURCES).toEqual([
    { group: 'example.com', kind: 'Widget' },
    { group: 'example.org', kind: '*' },
  ]);
  expect(() => loadWorkerConfig({ ...pod, CUSTOM_RESOURCES: 'widgets' })).toThrow(
    /CUSTOM_RESOURCES.*Widget\.example\.com/,
  );
});

it('reads what the exporter keeps of annotations', () => {
  const list = 'pods=[example.com/owner, example.com/*],namespaces=[*], secrets=[],pods=[more]';
  const { ANNOTATION_ALLOW_LIST, EXPORTER_VERSION } = loadWorkerConfig({
    ...pod,
    ANNOTATION_ALLOW_LIST: list,
    EXPORTER_VERSION: '2.20.0',
  });
  expect(EXPORTER_VERSION).toBe('2.20.0');
  expect([...ANNOTATION_ALLOW_LIST]).toEqual([
    ['pods', ['example.com/owner', 'example.com/*', 'more']],
    ['namespaces', ['*']],
    ['secrets', []],
  ]);
  expect(loadWorkerConfig(pod).ANNOTATION_ALLOW_LIST.size).toBe(0);
  for (const broken of ['pods', 'pods=a', 'pods=[a', 'pods=[a]secrets=[b]', 'pods=[a],x']) {
    expect(() => loadWorkerConfig({ ...pod, ANNOTATION_ALLOW_LIST: broken })).toThrow(/ANNOTATION_ALLOW_LIST.*pods=\[/);
  }
});
