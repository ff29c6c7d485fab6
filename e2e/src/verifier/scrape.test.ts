import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { Scraper, SCRAPE_TIMEOUT_MS } from './scrape.ts';

const servers: Server[] = [];
const scraper = new Scraper('test');

afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

async function serve(listener: RequestListener): Promise<{ name: string; url: string }> {
  const server = createServer(listener);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return { name: `t${port}`, url: `http://127.0.0.1:${port}/metrics` };
}

test('a body of any size arrives whole, and a shorter one after it leaves nothing behind', async () => {
  let body = 'x'.repeat(5_000_000);
  const target = await serve((_, response) => response.end(body));
  const first = await scraper.scrape(target);
  expect(first.body?.toString()).toBe(body);
  scraper.recycle(first);
  body = 'short';
  expect((await scraper.scrape(target)).body?.toString()).toBe('short');
});

test('two scrapes of one target at once keep apart', async () => {
  let n = 0;
  const target = await serve((_, response) => response.end(`body ${n++}`));
  const bodies = (await Promise.all([scraper.scrape(target), scraper.scrape(target)])).map((s) => s.body?.toString());
  expect(new Set(bodies)).toEqual(new Set(['body 0', 'body 1']));
});

test('503 has no body, even with lines in it', async () => {
  const target = await serve((_, response) => response.writeHead(503).end('kube_pod_info 1\n'));
  expect(await scraper.scrape(target)).toMatchObject({ body: undefined, problem: 'HTTP 503' });
});

test('a refused connection has no body', async () => {
  const target = await serve((_, response) => response.end());
  servers.splice(0).forEach((server) => server.close());
  const scrape = await scraper.scrape({ name: 'gone', url: target.url });
  expect(scrape.body).toBeUndefined();
  expect(scrape.problem).toMatch(/ECONNREFUSED/);
});

test('an answer that is cut off has no body', async () => {
  const target = await serve((_, response) => {
    response.writeHead(200, { 'content-length': '1000' });
    response.write('kube_pod_info 1\n');
    setTimeout(() => response.destroy(), 20);
  });
  expect((await scraper.scrape(target)).body).toBeUndefined();
});

test('an answer after the time-out has no body', async () => {
  const target = await serve(() => {});
  const scrape = await scraper.scrape(target);
  expect(scrape.body).toBeUndefined();
  expect(scrape.problem).toContain('late');
  expect(scrape.end - scrape.start).toBeGreaterThanOrEqual(SCRAPE_TIMEOUT_MS - 10);
});
