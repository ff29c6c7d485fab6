import { shardConfigSpecSchema } from '@shard-controller/shared/api';
import { describe, expect, it } from 'vitest';
import { customResourcesEnv } from './custom-resources.ts';

const env = (customResourceState?: string) =>
  customResourcesEnv(shardConfigSpecSchema.parse({ exporter: { customResourceState } }).exporter);

describe('the custom resources of a worker', () => {
  it('are those that the exporter is configured for', () => {
    const text = `
      spec:
        resources:
        - groupVersionKind: { group: example.com, version: v1, kind: Widget }
        - groupVersionKind: { group: apps.example.org, version: v1, kind: '*' }`;
    expect(env(text)).toEqual([{ name: 'CUSTOM_RESOURCES', value: 'Widget.example.com,*.apps.example.org' }]);
  });

  it('are not mentioned when there are none', () => {
    expect(env()).toEqual([]);
    expect(env('spec: { resources: [] }')).toEqual([]);
  });
});
