import { createLogger } from '@shard-controller/shared/observability';
import { systemClock } from '@shard-controller/shared/runtime';
import { until } from '@shard-controller/shared/testing';
import { afterEach, expect, test } from 'vitest';
import { ScriptedApiServer } from '../upstream/testing/scripted-api-server.ts';
import { createDataPlane } from './create.ts';

const stops: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

test('a list that its client gives up holds nothing: 40 of them leave room for a watch', async () => {
  const api = new ScriptedApiServer();
  api.change('ADDED', 'a');
  let slow: PromiseWithResolvers<void> | undefined;
  const upstream = {
    stream: async (request: Parameters<typeof api.stream>[0]) => {
      if (Object.keys(request.query ?? {}).includes('sendInitialEvents')) await slow?.promise;
      return api.stream(request);
    },
  };
  const listening = Promise.withResolvers<number>();
  const plane = createDataPlane({
    upstream,
    logger: createLogger({ name: 'test', level: 'fatal' }),
    clock: systemClock,
    host: '127.0.0.1',
    port: 0,
    onListening: listening.resolve,
  });
  const stop = new AbortController();
  const running = plane.run(stop.signal);
  stops.push(async () => {
    stop.abort();
    await running;
  });
  const owned = Array.from({ length: 64 }, (_, slot) => slot);
  plane.applyAssignment({ generation: 1, epoch: 1, slotCount: 64, shardBy: 'uid', owned, warm: [], release: [] });
  const pods = `http://127.0.0.1:${await listening.promise}/api/v1/pods`;
  const headers = { accept: 'application/vnd.kubernetes.protobuf' };
  const relist = `${pods}?resourceVersion=100&resourceVersionMatch=NotOlderThan`;
  const held = (): number => plane.inspection.feeds()[0]?.watches.length ?? 0;
  await (await fetch(relist, { headers })).arrayBuffer();
  slow = Promise.withResolvers();
  for (let i = 0; i < 40; i++) {
    const before = held();
    const gone = new AbortController();
    const asked = fetch(relist, { headers, signal: gone.signal }).catch(() => undefined);
    await until(() => held() > before);
    gone.abort();
    await asked;
    await until(() => held() <= before);
  }
  slow.resolve();
  expect((await fetch(relist, { headers })).status).toBe(200);
});
