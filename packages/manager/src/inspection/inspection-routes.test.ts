import { createLogger, HealthServer } from '@shard-controller/shared/observability';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { inspectionRoutes } from './inspection-routes.ts';
import { InspectionQueryError } from './slot-asked.ts';

let server: HealthServer;
let leads = true;

beforeEach(async () => {
  leads = true;
  const logger = createLogger({ name: 'test', level: 'silent' });
  server = new HealthServer({ port: 0, host: '127.0.0.1', portVariable: 'PORT', logger });
  const answer = async (request: Uint8Array): Promise<object> => {
    const text = Buffer.from(request).toString();
    if (text === 'bad') throw new InspectionQueryError('where: give a slot');
    if (text === 'broken') throw new Error('the log cannot be read');
    return { asked: text };
  };
  server.addRoutes(inspectionRoutes([{ name: 'where', subjects: [], metadata: {}, answer }], () => leads));
  await server.start();
});

afterEach(() => server.stop());

async function get(query: string): Promise<{ readonly status: number; readonly body: unknown }> {
  const response = await fetch(`http://127.0.0.1:${server.port}/inspect/v1/where?query=${encodeURIComponent(query)}`);
  return { status: response.status, body: await response.json() };
}

describe('questions over HTTP', () => {
  it('are answered as over NATS', async () => {
    expect(await get('{"slot":3}')).toEqual({ status: 200, body: { asked: '{"slot":3}' } });
  });

  it.each([
    ['bad', 400, 'SC_INSPECT_QUERY', 'where: give a slot'],
    ['broken', 500, 'SC_INSPECT_FAILED', 'the log cannot be read'],
    ['x'.repeat(8_001), 414, 'SC_INSPECT_QUERY', '8000 characters'],
  ])('are refused with a code and a sentence', async (query, status, code, text) => {
    expect(await get(query)).toEqual({ status, body: { error: { code, message: expect.stringContaining(text) } } });
  });

  it('are left to the manager that leads', async () => {
    leads = false;
    expect(await get('')).toMatchObject({ status: 503, body: { error: { code: 'SC_NOT_LEADING' } } });
  });
});
