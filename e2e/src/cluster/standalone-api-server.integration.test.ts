import { existsSync } from 'node:fs';
import { Agent, request } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type StandaloneApiServer, startApiServer } from './standalone-api-server.ts';

let server: StandaloneApiServer;
let dispatcher: Agent;

beforeAll(async () => {
  server = await startApiServer();
  dispatcher = new Agent({ connect: { ca: server.ca } });
});

afterAll(async () => {
  await dispatcher?.destroy();
  await server?.stop();
});

const CONFIG_MAPS = '/api/v1/namespaces/default/configmaps';

async function status(path: string, token: string, body?: unknown): Promise<number> {
  const response = await request(`${server.server}${path}`, {
    dispatcher,
    method: body === undefined ? 'GET' : 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  await response.body.dump();
  return response.statusCode;
}

describe('startApiServer', () => {
  it('gives tokens for users, whose rights are those of RBAC', async () => {
    expect(await status(CONFIG_MAPS, 'no-such-token')).toBe(401);
    expect(await status(CONFIG_MAPS, server.tokenFor('jane'))).toBe(403);
    expect(await status(CONFIG_MAPS, server.tokenFor('joe', ['system:masters']))).toBe(200);
  });

  it('keeps address, trust, tokens and data over a kill and a restart', async () => {
    const token = server.tokenFor('joe', ['system:masters']);
    const { ca } = server;
    expect(await status(CONFIG_MAPS, token, { metadata: { name: 'kept' } })).toBe(201);
    await server.kill();
    await expect(status(CONFIG_MAPS, token)).rejects.toThrow(/ECONNREFUSED|other side closed|ECONNRESET/);
    await server.restart();
    expect(server.ca).toBe(ca);
    expect(await status(`${CONFIG_MAPS}/kept`, token)).toBe(200);
  });

  it('leaves nothing behind when it stops', async () => {
    const other = await startApiServer();
    await other.stop();
    expect(existsSync(other.folder)).toBe(false);
    await expect(request(other.server, { dispatcher })).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });
});
