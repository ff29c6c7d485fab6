import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { nkeys } from '@nats-io/transport-node';
import { connectNats, type NatsLink, type NatsLinkOptions } from '@shard-controller/shared/nats';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type NatsServer, startNatsServer } from './nats-server.ts';
import { RecordingLogger } from './recording-logger.ts';

describe('authentication and TLS', () => {
  let folder = '';
  let logger: RecordingLogger;
  let server: NatsServer | undefined;
  let link: NatsLink | undefined;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'nats-auth-'));
  });
  afterAll(() => rm(folder, { recursive: true }));
  beforeEach(() => {
    logger = new RecordingLogger();
  });
  afterEach(async () => {
    await link?.close();
    await server?.dispose();
  });

  async function connectTo(config: string, options: Partial<NatsLinkOptions>): Promise<NatsLink> {
    server = await startNatsServer({ config });
    link = await connectNats({ servers: server.url, name: 'test', logger, ...options });
    return link;
  }

  it('a wrong token is told apart from an absent server, without printing it', async () => {
    const wrong = await connectTo('authorization { token: "right" }', {
      auth: { kind: 'token', token: 'wr0ng-secret' },
    });
    expect(wrong.connected).toBe(false);
    expect(logger.text('warn')).toMatch(/NATS refuses the credentials: check the NATS user, token/);
    expect(JSON.stringify(logger.lines)).not.toContain('wr0ng-secret');
  });

  it('a token or a user with a password gets in', async () => {
    const byToken = await connectTo('authorization { token: "right" }', { auth: { kind: 'token', token: 'right' } });
    expect(byToken.connected).toBe(true);
    await byToken.close();
    await server?.dispose();
    const byUser = await connectTo('authorization { user: "u", password: "p" }', {
      auth: { kind: 'user', user: 'u', password: 'p' },
    });
    expect(byUser.connected).toBe(true);
  });

  it('an nkey seed in a file gets in', async () => {
    const user = nkeys.createUser();
    const seedFile = join(folder, 'user.nk');
    await writeFile(seedFile, `${new TextDecoder().decode(user.getSeed())}\n`);
    const config = `authorization { users: [ { nkey: "${user.getPublicKey()}" } ] }`;
    expect((await connectTo(config, { auth: { kind: 'nkey', seedFile } })).connected).toBe(true);
  });

  it('credentials in files are taken up when they change, without a restart', async () => {
    const [userFile, passwordFile] = [join(folder, 'username'), join(folder, 'password')];
    await writeFile(userFile, 'old');
    await writeFile(passwordFile, 'p');
    const rotating = await connectTo(
      'authorization { users: [ { user: old, password: p }, { user: new, password: q } ] }',
      {
        auth: { kind: 'user-files', userFile, passwordFile },
      },
    );
    const heard: string[] = [];
    rotating.subscribeRaw('after', (message) => heard.push(message.string()));
    expect([rotating.connected, rotating.counters.connects]).toEqual([true, 1]);
    await writeFile(passwordFile, 'wrong');
    await expect.poll(() => logger.text('warn')).toMatch(/NATS refuses the credentials/);
    await writeFile(userFile, 'new');
    await writeFile(passwordFile, 'q');
    await expect.poll(() => [rotating.connected, rotating.counters.connects]).toEqual([true, 2]);
    expect(logger.text('info')).toContain('the files with the credentials for NATS have changed');
    rotating.publish('after', 'still there');
    await expect.poll(() => heard).toEqual(['"still there"']);
  });

  it('a subject without permission is reported with its name and leaves the link alive', async () => {
    const config = 'authorization { users: [ { user: u, password: p, permissions: { subscribe: ["_INBOX.>"] } } ] }';
    const restricted = await connectTo(config, { auth: { kind: 'user', user: 'u', password: 'p' } });
    restricted.subscribeRaw('shard.forbidden', () => undefined);
    await expect.poll(() => logger.text('error')).toContain('shard.forbidden');
    expect(restricted.connected).toBe(true);
  });

  it('TLS checks the server against the given CA', async () => {
    const [cert, key] = [join(folder, 'tls.crt'), join(folder, 'tls.key')];
    const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1'];
    const request = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '1'];
    await promisify(execFile)('openssl', [...request, '-keyout', key, '-out', cert, ...subject]);
    const config = `tls { cert_file: ${JSON.stringify(cert)}, key_file: ${JSON.stringify(key)} }`;
    expect((await connectTo(config, { tls: { caFile: cert } })).connected).toBe(true);
    const untrusting = await connectNats({ servers: server?.url ?? '', name: 'test', logger, tls: {} });
    expect(untrusting.connected).toBe(false);
    await untrusting.close();
  });
});
