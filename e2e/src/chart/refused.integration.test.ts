import { describe, expect, test } from 'vitest';
import { render, type Values } from './render.ts';

const problem = async (values: Values): Promise<string> => {
  const error: unknown = await render({ namespace: 'monitoring', values }).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  return error instanceof Error ? error.message : 'rendered';
};

describe('a wrong value is refused by the schema, which names it', () => {
  test.each<[string, Values, RegExp]>([
    ['an unknown name', { replicaCount: 2 }, /additional properties 'replicaCount' not allowed/],
    ['an unknown name in a group', { manager: { replica: 2 } }, /at '\/manager'.*'replica' not allowed/],
    ['an unknown field of a ShardConfig', { shardConfig: { spec: { shard: 3 } } }, /at '\/shardConfig\/spec'.*'shard'/],
    ['a text for a number', { manager: { replicas: 'two' } }, /at '\/manager\/replicas'.*got string, want integer/],
    ['a number for a text', { fullnameOverride: 7 }, /at '\/fullnameOverride'.*got number, want string/],
    ['a text for a switch', { nats: { enabled: 'yes' } }, /at '\/nats\/enabled'.*got string, want boolean/],
    ['no manager', { manager: { replicas: 0 } }, /at '\/manager\/replicas'.*minimum: got 0, want 1/],
    ['two NATS servers', { nats: { replicas: 2 } }, /at '\/nats\/replicas'/],
    ['a size without a unit', { nats: { persistence: { size: '10' } } }, /at '\/nats\/persistence\/size'.*pattern/],
    ['an unknown level', { manager: { logLevel: 'loud' } }, /at '\/manager\/logLevel'.*must be one of 'trace'/],
    ['an unknown platform', { platform: 'eks' }, /at '\/platform'.*must be one of 'auto'/],
    ['a text for a list', { collectors: 'pods' }, /at '\/collectors'.*got string, want array/],
    ['no collector', { collectors: [] }, /at '\/collectors'.*minItems/],
    ['a label that is a number', { commonLabels: { cost: 42 } }, /at '\/commonLabels\/cost'.*want string/],
    ['a URL of another kind', { externalNats: { url: 'https://nats' } }, /at '\/externalNats\/url'.*pattern/],
    ['a digest of another kind', { worker: { image: { digest: 'md5:1' } } }, /at '\/worker\/image\/digest'.*pattern/],
    ['a long name', { shardConfig: { name: 'x'.repeat(41) } }, /at '\/shardConfig\/name'.*pattern/],
    ['a threshold above 1', { shardConfig: { spec: { scaleUpThreshold: 80 } } }, /scaleUpThreshold.*maximum/],
    ['a duration in minutes as a number', { manager: { leaderElection: { leaseDuration: 6 } } }, /leaseDuration/],
  ])('%s', async (_, values, message) => {
    expect(await problem(values)).toMatch(message);
  });

  test('a parent chart may share globals and switch this one', async () => {
    expect(await problem({ global: { someoneElses: { value: 1 } }, enabled: true })).toBe('rendered');
  });
});

const ON_NODES = { collectors: ['pods', 'nodes'] };
const spec = (fields: Values): Values => ({ shardConfig: { spec: fields } });
const CUSTOM = { enabled: true, config: { kind: 'CustomResourceStateMetrics' } };

describe('what cannot work is refused with the remedy', () => {
  test.each<[string, Values, RegExp]>([
    ['two NATS', { externalNats: { url: 'nats://a:4222' } }, /both set.*Remedy: set nats\.enabled=false/],
    ['nothing to run', { manager: { shardConfigs: false } }, /nothing to do.*Remedy: set one/],
    [
      'KSMScales without rights on nodes',
      { ksmScale: { enabled: true }, rbac: { namespaced: true }, collectors: ['pods'] },
      /ksmScale counts the nodes.*Remedy: set one of them to false/,
    ],
    [
      'credentials for NATS without a Secret of the managers',
      { nats: { enabled: false }, externalNats: { url: 'nats://a:4222', auth: { kind: 'nkey' } } },
      /externalNats\.auth\.managerSecret.*Remedy/,
    ],
    [
      'credentials for NATS without a Secret of the workers',
      { nats: { enabled: false }, externalNats: { url: 'nats://a:4222', auth: { kind: 'nkey', managerSecret: 'm' } } },
      /externalNats\.auth\.workerSecret.*Remedy/,
    ],
    ['no NATS', { nats: { enabled: false } }, /there is no NATS.*Remedy: set one/],
    [
      'two copies',
      { nats: { enabled: false }, externalNats: { url: 'nats://a:4222', replicas: 2 } },
      /Remedy: set 1, 3 or 5/,
    ],
    [
      'an unknown kind',
      { collectors: ['pods', 'pod'] },
      /kube-state-metrics has no pod\. Remedy: choose from .*configmaps/,
    ],
    [
      'cluster-scoped kinds without cluster-wide rights',
      { ...ON_NODES, rbac: { namespaced: true } },
      /but collectors has nodes\. Remedy/,
    ],
    [
      'custom resources without cluster-wide rights',
      { collectors: ['pods'], rbac: { namespaced: true, extraRules: [{}] }, customResourceState: CUSTOM },
      /CustomResourceDefinitions, which rbac\.namespaced excludes\. Remedy/,
    ],
    ['custom resources without rights', { customResourceState: CUSTOM }, /Remedy: set rbac\.extraRules/],
    [
      'custom resources without a configuration',
      { customResourceState: { enabled: true } },
      /Remedy: set the configuration/,
    ],
    ['both lists of metrics', { metricAllowlist: ['a'], metricDenylist: ['b'] }, /Remedy: leave one of them empty/],
    [
      'labels of a kind that is not exported',
      { ...ON_NODES, metricLabelsAllowlist: ['jobs=[*]'] },
      /Remedy: add "jobs" to collectors/,
    ],
    ['annotations of such a kind', { ...ON_NODES, metricAnnotationsAllowList: ['jobs=[*]'] }, /Remedy: add "jobs"/],
    [
      'a flag that is a value',
      { extraArgs: ['--resources=pods'] },
      /--resources has a value of its own.*Remedy: set collectors/,
    ],
    [
      'a flag of the manager',
      { extraArgs: ['--total-shards=3'] },
      /--total-shards is set by the manager.*Remedy: leave it out/,
    ],
    ['an exporter in the spec', spec({ exporter: { resources: ['pods'] } }), /Remedy: set collectors/],
    ['more than the most shards', spec({ minShards: 12 }), /minShards is 12 and maxShards 10\. Remedy/],
    [
      'more shards than slots',
      spec({ maxShards: 65, slots: 64 }),
      /maxShards is 65 with 64 slots.*Remedy: raise slots/,
    ],
    [
      'Manual without a number',
      spec({ mode: 'Manual' }),
      /Manual without shards\. Remedy: set shardConfig\.spec\.shards/,
    ],
    [
      'a number out of bounds',
      spec({ mode: 'Manual', shards: 11 }),
      /shards is 11, outside of minShards 2 to maxShards 10/,
    ],
  ])('%s', async (_, values, message) => {
    expect(await problem(values)).toMatch(message);
  });
});
