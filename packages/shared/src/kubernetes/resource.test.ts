import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fullJitter } from './backoff.ts';
import { resourcePath } from './resource-path.ts';
import { compareResourceVersion, ResourceVersionError } from './resource-version.ts';

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

describe('compareResourceVersion', () => {
  const version = fc.bigInt({ min: 1n, max: 10n ** 40n });

  it('orders numbers of any length as numbers', () => {
    fc.assert(
      fc.property(version, version, (a, b) => {
        const sign = Math.sign(compareResourceVersion(String(a), String(b)));
        expect(sign).toBe(a < b ? -1 : a > b ? 1 : 0);
      }),
    );
  });

  it.each(['', '0', '007', 'abc', '-1', '1.5', '0x10', ' 1', '1\n'])('refuses %j, which has no order', (bad) => {
    expect(() => compareResourceVersion(bad, '1')).toThrow(ResourceVersionError);
  });
});

describe('fullJitter', () => {
  it('stays between zero and a bound that doubles up to the cap', () => {
    const options = { baseMs: 100, capMs: 2_000 };
    const bounds = [0, 1, 2, 3, 4, 5, 5_000].map((attempt) => fullJitter(attempt, options, () => 1));
    expect(bounds).toEqual([100, 200, 400, 800, 1_600, 2_000, 2_000]);
    expect(fullJitter(9, options, () => 0)).toBe(0);
  });
});
