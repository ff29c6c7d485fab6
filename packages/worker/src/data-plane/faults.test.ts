import { waitUntil } from '@shard-controller/shared/testing';
import { expect, test } from 'vitest';
import { ScriptedApiServer } from '../upstream/testing/scripted-api-server.ts';
import { StoppableUpstream } from './faults.ts';

const watch = (upstream: StoppableUpstream, signal?: AbortSignal) =>
  upstream.stream({ path: '/api/v1/pods', query: { watch: 'true', resourceVersion: '100' }, signal });

test('of a stopped collection nothing is heard any more, of others everything', async () => {
  const api = new ScriptedApiServer();
  const upstream = new StoppableUpstream(api);
  const { body } = await watch(upstream);
  let heard = 0;
  body.on('data', (bytes: Buffer) => void (heard += bytes.length));
  api.say(Buffer.from('before'));
  await waitUntil('the watch is heard', () => heard === 'before'.length);
  upstream.stop('/api/v1/pods');
  upstream.stop('/version');
  api.say(Buffer.from('after'));
  const gone = new AbortController();
  const unanswered = watch(upstream, gone.signal);
  gone.abort();
  await expect(unanswered).rejects.toThrow('stopped');
  expect((await upstream.stream({ path: '/version' })).status).toBeGreaterThan(0);
  expect(api.requests).toHaveLength(2);
  expect([heard, body.destroyed]).toEqual(['before'.length, false]);
});
