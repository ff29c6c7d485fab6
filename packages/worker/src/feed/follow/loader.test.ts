import { until } from '@shard-controller/shared/testing';
import { afterEach, expect, test } from 'vitest';
import { status } from '../../upstream/testing/scripted-api-server.ts';
import { WatchPeer } from '../books/testing/watch-peer.ts';
import { newRig, stopFeeds, subscribe } from './testing/feed-rig.ts';

afterEach(stopFeeds);

test('a list that failed and that nobody waits for any more is no trouble for ever', async () => {
  const { api, feed } = await newRig('a', 'b');
  const answer = api.stream.bind(api);
  let isForbidden = true;
  api.stream = async (request) => {
    const query = new Map(Object.entries(request.query ?? {}));
    const isList = !query.has('watch') || query.has('sendInitialEvents');
    return isForbidden && isList ? status(403, 'Forbidden') : answer(request);
  };
  const second = subscribe(feed, new WatchPeer());
  await until(() => feed.problem?.includes('403') === true);
  second.close();
  // The watch continues all the while.
  api.change('ADDED', 'c');
  await until(() => feed.state?.index.size === 3);
  expect(feed.problem).toContain('403');
  isForbidden = false;
  await until(() => feed.problem === undefined);
});
