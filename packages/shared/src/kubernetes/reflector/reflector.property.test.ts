import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createLogger } from '../../observability/index.ts';
import { elapse, waitUntil } from '../../testing/index.ts';
import { KubernetesClient, staticEndpoint } from '../client/index.ts';
import { FakeApiServer, sendStatus } from '../testing/fake-api-server.ts';
import type { ObjectStore } from '../testing/object-store.ts';
import { Reflector } from './reflector.ts';
import { Mirror } from './testing/mirror.ts';

type Step =
  | { readonly do: 'put' | 'delete' | 'recreate'; readonly name: string }
  | { readonly do: 'compact' | 'destroy' | 'end' | 'truncate' | 'expire' | 'fail-event' | 'bookmark' }
  | { readonly do: 'refuse'; readonly kind: 'list' | 'watch'; readonly status: number }
  | { readonly do: 'pause'; readonly ms: number };

const names = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g');
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constantFrom('put', 'delete', 'recreate'), name: names }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constantFrom('compact', 'destroy', 'end', 'truncate', 'expire', 'fail-event', 'bookmark'),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('refuse'),
      kind: fc.constantFrom('list', 'watch'),
      status: fc.constantFrom(403, 410, 500, 503),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('pause'), ms: fc.integer({ min: 0, max: 8 }) }) },
);

let server: FakeApiServer;
let client: KubernetesClient;
let nextCollection = 0;

beforeAll(async () => {
  server = await FakeApiServer.start();
  client = new KubernetesClient({
    endpoint: staticEndpoint({ server: server.url, ca: server.serving.certificate }),
    logger: createLogger({ name: 'test', level: 'silent' }),
    userAgent: 'test',
  });
});

afterAll(async () => {
  await client.close();
  await server.stop();
});

function summary(objects: readonly string[]): string {
  return objects.toSorted((a, b) => a.localeCompare(b)).join(' ');
}

async function perform(one: Step, store: ObjectStore, path: string): Promise<void> {
  const watches = [...server.watches].filter((watch) => watch.request.path === path);
  switch (one.do) {
    case 'put':
      store.put(one.name, { value: store.resourceVersion });
      return;
    case 'recreate':
      store.delete(one.name);
      store.put(one.name);
      return;
    case 'delete':
      store.delete(one.name);
      return;
    case 'compact':
      return store.compact();
    case 'refuse':
      return server.inject(one.kind, (_, response) => sendStatus(response, one.status, 'Refused', 'not now'));
    case 'pause':
      return elapse(one.ms);
    case 'destroy':
      return watches.forEach((watch) => watch.destroy());
    case 'end':
      return watches.forEach((watch) => watch.end());
    case 'truncate':
      return watches.forEach((watch) => {
        watch.write('{"type":"ADDED","object":{"metadata":{"name":"ghost","uid":"gh');
        watch.end();
      });
    case 'expire':
      return watches.forEach((watch) => watch.error(410, 'Expired'));
    case 'fail-event':
      return watches.forEach((watch) => watch.error(500, 'InternalError'));
    case 'bookmark':
      return watches.forEach((watch) => watch.bookmark(store.resourceVersion));
  }
}

describe.each(['Paged', 'Streaming'] as const)('%s list and watch', (listMode) => {
  it('delivers exactly the objects of the server, whatever history and faults', async () => {
    const property = fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 40 }), async (history) => {
      nextCollection += 1;
      const path = `/apis/test.shard.io/v1/namespaces/x/things${nextCollection}`;
      const store = server.store(path);
      const mirror = new Mirror();
      const stop = new AbortController();
      const reflector = new Reflector({
        client,
        path,
        parse: (raw) => ({ ok: true, value: raw }),
        handler: mirror,
        logger: createLogger({ name: 'test', level: 'silent' }),
        listMode,
        pageSize: 3,
        maxBackoffMs: 5,
        random: () => 0.1,
      });
      const running = reflector.run(stop.signal);
      for (const one of history) await perform(one, store, path);
      const wanted = (): string =>
        summary(store.list().map(({ metadata }) => `${metadata.uid}@${metadata.resourceVersion}`));
      const got = (): string =>
        summary([...mirror.objects].map(([uid, text]) => `${uid}@${/"resourceVersion":"(\d+)"/.exec(text)?.[1]}`));
      store.put('last');
      try {
        await waitUntil('the mirror equals the server', () => wanted() === got());
      } finally {
        stop.abort();
        await running;
      }
      expect(got()).toBe(wanted());
      await waitUntil('nothing is left open', () => ![...server.watches].some((watch) => watch.request.path === path));
    });
    await fc.assert(property, { numRuns: 60 });
  });
});
