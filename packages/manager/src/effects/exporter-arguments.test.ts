import { parseShardConfig, type ShardConfigSpecInput } from '@shard-controller/shared/api';
import { describe, expect, it } from 'vitest';
import { exporterArguments } from './exporter-arguments.ts';

function argumentsOf(exporter: NonNullable<ShardConfigSpecInput['exporter']>): string[] {
  const parsed = parseShardConfig({
    apiVersion: 'shard.io/v1',
    kind: 'ShardConfig',
    metadata: { name: 'a', namespace: 'b', uid: 'c', resourceVersion: '1' },
    spec: { exporter },
  });
  if (!parsed.ok) throw new Error(JSON.stringify(parsed));
  return exporterArguments(parsed.value.spec.exporter);
}

describe('exporterArguments', () => {
  it('gives each kind one item of an allow-list, because the exporter takes only the last', () => {
    const args = argumentsOf({
      labelsAllowlist: ['pods=[team]', 'nodes=[*]', 'pods=[app, team]'],
      annotationsAllowlist: ['pods=[a]', 'pods=[]', 'pods=[b]'],
    });
    expect(args).toContain('--metric-labels-allowlist=pods=[team,app],nodes=[*]');
    expect(args).toContain('--metric-annotations-allowlist=pods=[a,b]');
  });

  it('lets nothing that a user writes win over what the proxy needs', () => {
    const args = argumentsOf({ extraArgs: ['--namespaces=a'] });
    expect(args[0]).toBe('--namespaces=a');
    expect(args.at(-1)).toBe('--telemetry-port=8081');
  });
});
