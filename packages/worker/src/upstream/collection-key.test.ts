import { expect, test } from 'vitest';
import { feedId, feedKeyOf, feedName } from './collection-key.ts';

const pods = { path: '/api/v1/pods', group: '', version: 'v1', resource: 'pods', namespace: '' };
const named = (fieldSelector: string): string => feedName(feedKeyOf(pods, { fieldSelector }, 'application/json'));
const denied = (count: number): string =>
  Array.from({ length: count }, (_, i) => `metadata.namespace!=preview-${i}`).join(',');

test('a feed is named by what it selects', () => {
  expect(named('')).toBe('/api/v1/pods');
  expect(named('metadata.namespace!=a')).toBe('/api/v1/pods fields(metadata.namespace!=a)');
});

test('the name of a feed that selects by hundreds of names stays short, and is another one for each selector', () => {
  const names = [20, 300, 301, 3_000].map((count) => named(denied(count)));
  for (const name of names) expect(name.length).toBeLessThan(150);
  expect(new Set(names).size).toBe(names.length);
  expect(names[0]).toMatch(/^\/api\/v1\/pods fields\(metadata\.namespace!=preview-0,/);
});

test('the encoding is part of the id alone', () => {
  const [json, protobuf] = ['application/json', 'application/vnd.kubernetes.protobuf'].map((accept) =>
    feedKeyOf(pods, {}, accept),
  );
  if (json === undefined || protobuf === undefined) throw new Error('no keys');
  expect(feedName(json)).toBe(feedName(protobuf));
  expect(feedId(json)).not.toBe(feedId(protobuf));
});
