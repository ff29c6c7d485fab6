import { expect, test } from 'vitest';
import { DiscoveryCache, discoveryPath } from './discovery-cache.ts';

const SIGNAL = new AbortController().signal;
const WIDGETS = { name: 'widgets', kind: 'Widget', namespaced: true, verbs: ['list', 'watch'] };

function cacheOf(resources: unknown[]) {
  const paths: string[] = [];
  const cache = new DiscoveryCache(async (path) => {
    paths.push(path);
    return { resources };
  });
  return { cache, paths };
}

test('a kind is found by its name and by its plural, and read once', async () => {
  const { cache, paths } = cacheOf([WIDGETS]);
  const served = { group: 'example.com', version: 'v1', resource: 'widgets' };
  expect(await cache.kind('example.com/v1', 'Widget', SIGNAL)).toMatchObject(served);
  expect(await cache.resource('example.com/v1', 'widgets', SIGNAL)).toMatchObject({ ...served, kind: 'Widget' });
  expect(paths).toEqual(['/apis/example.com/v1']);
});

test('what is not there is looked up again each time', async () => {
  const resources: unknown[] = [];
  const { cache, paths } = cacheOf(resources);
  expect(await cache.kind('v1', 'Widget', SIGNAL)).toBeUndefined();
  resources.push(WIDGETS);
  expect(await cache.kind('v1', 'Widget', SIGNAL)).toMatchObject({ group: '', version: 'v1' });
  expect(paths).toEqual(['/api/v1', '/api/v1']);
});

test('a forgotten resource is read again by either name', async () => {
  const { cache, paths } = cacheOf([WIDGETS]);
  await cache.resource('v1', 'widgets', SIGNAL);
  cache.forget('v1', 'widgets');
  await cache.kind('v1', 'Widget', SIGNAL);
  expect(paths).toHaveLength(2);
});

test.each<[string, unknown]>([
  ['a subresource', { ...WIDGETS, name: 'widgets/status' }],
  ['an entry without a kind', { name: 'widgets' }],
  ['an entry that is no object', null],
])('%s is no kind', async (_, resource) => {
  expect(await cacheOf([resource]).cache.resource('v1', 'widgets', SIGNAL)).toBeUndefined();
});

test('a document that is none names no kinds', async () => {
  const cache = new DiscoveryCache(async () => 'proxy error');
  expect(await cache.kind('v1', 'Widget', SIGNAL)).toBeUndefined();
  expect(discoveryPath('example.com/v1')).toBe('/apis/example.com/v1');
});
