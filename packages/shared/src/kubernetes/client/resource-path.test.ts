import { describe, expect, it } from 'vitest';
import { resourcePath } from './resource-path.ts';

describe('resourcePath', () => {
  it.each([
    [{ group: '', version: 'v1', resource: 'pods' }, '/api/v1/pods'],
    [
      { group: '', version: 'v1', resource: 'pods', namespace: 'x', name: 'y', subresource: 'status' },
      '/api/v1/namespaces/x/pods/y/status',
    ],
    [
      { group: 'shard.io', version: 'v1', resource: 'shardconfigs', namespace: 'x' },
      '/apis/shard.io/v1/namespaces/x/shardconfigs',
    ],
    [
      { group: 'rbac.authorization.k8s.io', version: 'v1', resource: 'clusterroles', name: 'system:node' },
      '/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Anode',
    ],
  ])('names %j', (address, path) => {
    expect(resourcePath(address)).toBe(path);
  });

  it('never lets a name reach out of its segment', () => {
    expect(resourcePath({ group: '', version: 'v1', resource: 'pods', namespace: 'x', name: '../secrets?a' })).toBe(
      '/api/v1/namespaces/x/pods/..%2Fsecrets%3Fa',
    );
  });
});
