import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { completed, type Credentials } from '@shard-controller/manager/nats-credentials';
import { EVENT_STREAM } from '@shard-controller/shared/contracts';
import { resourcePath } from '@shard-controller/shared/kubernetes';
import {
  appendOnlyStream,
  connectNats,
  ensureStream,
  type NatsAuth,
  type NatsLink,
} from '@shard-controller/shared/nats';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { resolveBinary } from '../cluster/binaries.ts';
import { freePorts } from '../cluster/free-ports.ts';
import { RecordingLogger } from '../nats/recording-logger.ts';
import { LocalProcess } from '../worker-process/local-process.ts';
import { ChartCluster } from './chart-cluster.ts';
import { type Manifest, render, type Values } from './render.ts';

const NAMESPACE = 'monitoring';
const NAME = 'shard-controller-nats';
const MANAGER_MAIN = join(import.meta.dirname, '../../../packages/manager/src/main.ts');
const conf = z.looseObject({ data: z.looseObject({ 'nats.conf': z.string() }) });

const rendered = (values: Values = {}): Promise<readonly Manifest[]> => render({ namespace: NAMESPACE, values });

function one(manifests: readonly Manifest[], kind: string, name: string): Manifest {
  const found = manifests.find((object) => object.kind === kind && object.metadata?.name === name);
  if (found === undefined) throw new Error(`no ${kind} ${name}`);
  return found;
}

let folder = '';
const servers: LocalProcess[] = [];
const links: NatsLink[] = [];

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'bundled-nats-'));
});

afterEach(async () => {
  await Promise.all(links.splice(0).map((link) => link.close()));
  await Promise.all(
    servers.splice(0).map(async (server) => {
      server.signal('SIGKILL');
      await server.exit;
    }),
  );
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The servers that the chart describes, as processes of this machine, with what the Job would have made. */
async function bundled(replicas: 1 | 3): Promise<{ readonly urls: readonly string[]; readonly made: Credentials }> {
  const { data } = conf.parse(one(await rendered({ nats: { replicas } }), 'ConfigMap', NAME));
  const nothing = { server: {}, manager: {}, inspector: {}, ca: {} };
  const made = completed(nothing, { account: 'SHARDS', names: ['localhost', '127.0.0.1'], nowMs: Date.now() });
  const ports = await freePorts(3 * replicas);
  const urls: string[] = [];
  for (let i = 0; i < replicas; i++) {
    const home = join(folder, `${replicas}-${i}`);
    rmSync(home, { recursive: true, force: true });
    mkdirSync(home);
    for (const [file, text] of Object.entries({ ...made.server, ...secretFiles(made) }))
      writeFileSync(join(home, file), text);
    const [client = 0, cluster = 0, monitor = 0] = ports.slice(3 * i);
    const text = data['nats.conf']
      .replaceAll('/etc/nats/', `${home}/`)
      .replace('store_dir: /data', `store_dir: ${home}/data`)
      .replace('port: 4222', `host: 0.0.0.0\nport: ${client}`)
      .replace('http_port: 8222', `http: 127.0.0.1:${monitor}`)
      .replace('port: 6222', `host: 127.0.0.1\n  port: ${cluster}`)
      .replaceAll(/\S+-nats-(\d)\.\S+:6222/g, (_, index: string) => `nats://localhost:${ports[3 * Number(index) + 1]}`);
    writeFileSync(join(home, 'nats.conf'), text);
    const command = [resolveBinary('nats-server'), '--config', join(home, 'nats.conf')] as const;
    servers.push(new LocalProcess({ name: `nats-${i}`, command, env: { POD_NAME: `nats-${i}` } }));
    urls.push(`nats://localhost:${client}`);
  }
  return { urls, made };
}

const secretFiles = ({ manager, inspector }: Credentials): Record<string, string> => ({
  'manager.nk': manager['nats.nk'] ?? '',
  'inspector.nk': inspector['nats.nk'] ?? '',
});

async function connect(
  servers: readonly string[],
  home: string,
  who: 'manager' | 'inspector' | 'nobody',
  caFile = join(folder, home, 'ca.crt'),
): Promise<NatsLink> {
  const auth: NatsAuth =
    who === 'nobody' ? { kind: 'none' } : { kind: 'nkey', seedFile: join(folder, home, `${who}.nk`) };
  const link = await connectNats({ servers, name: who, logger: new RecordingLogger(), auth, tls: { caFile } });
  links.push(link);
  return link;
}

describe('the NATS of the chart', () => {
  test('lets managers do everything, people read, and nobody else in', async () => {
    const { urls } = await bundled(1);
    const manager = await connect(urls, '1-0', 'manager');
    await expect.poll(() => manager.connected).toBe(true);
    const stream = appendOnlyStream({ name: EVENT_STREAM, subjects: ['shard.events.>'], replicas: 1 });
    await ensureStream(manager, stream);
    const nobody = await connect(urls, '1-0', 'nobody');
    expect(nobody.connected).toBe(false);
    // No manager answers here: the server or the client loses patience first.
    expect(nobody.status.problem).toMatch(/Authorization Violation|timeout/i);
    const person = await connect(urls, '1-0', 'inspector');
    expect(person.connected).toBe(true);
    manager.subscribe({ subject: 'shard.inspect.v1.status', schema: z.unknown() }, (message) => {
      message.respond('all is well');
    });
    await manager.answers();
    const question = { subject: 'shard.inspect.v1.status', body: {}, schema: z.string() };
    expect(await person.request(question)).toMatchObject({ kind: 'reply', reply: { value: 'all is well' } });
    const { jsm, connection } = person.session();
    expect((await jsm.streams.info(EVENT_STREAM)).config.name).toBe(EVENT_STREAM);
    await expect(jsm.streams.delete(EVENT_STREAM)).rejects.toThrow(/ermissions/);
    const heard: string[] = [];
    manager.subscribeRaw('shard.events.>', (message) => heard.push(message.subject));
    await manager.answers();
    connection.publish('shard.events.monitoring.main.uid', 'forged');
    await connection.flush();
    await manager.answers();
    expect(heard).toEqual([]);
  });

  test('talks TLS only, with the certificate of its own authority', async () => {
    const { urls } = await bundled(1);
    const manager = await connect(urls, '1-0', 'manager');
    await expect.poll(() => manager.connected).toBe(true);
    const byAddress = await connect([urls.join().replace('localhost', '127.0.0.1')], '1-0', 'manager');
    expect(byAddress.connected).toBe(true);
    const elsewhere = await connect([urls.join().replace('localhost', '127.0.0.2')], '1-0', 'manager');
    expect(elsewhere.connected).toBe(false);
    const other = completed(
      { server: {}, manager: {}, inspector: {}, ca: {} },
      { account: 'SHARDS', names: ['localhost'], nowMs: Date.now() },
    );
    const stranger = join(folder, 'stranger.crt');
    writeFileSync(stranger, other.ca['ca.crt'] ?? '');
    const deceived = await connect(urls, '1-0', 'manager', stranger);
    expect(deceived.connected).toBe(false);
    expect(deceived.status.problem).toMatch(/certificate|signature/i);
  });

  test('is one cluster of three servers, which know each other by their certificate', async () => {
    const { urls } = await bundled(3);
    const manager = await connect(urls, '3-0', 'manager');
    const stream = appendOnlyStream({ name: EVENT_STREAM, subjects: ['shard.events.>'], replicas: 3 });
    await expect.poll(async () => ensureStream(manager, stream).then(() => 'there', String)).toBe('there');
  });
});

describe('the Job that makes the credentials', () => {
  const secret = z.looseObject({
    metadata: z.looseObject({ resourceVersion: z.string() }),
    data: z.record(z.string(), z.string()).optional(),
  });

  test('fills the Secrets of the release with the rights that it has, and changes nothing the next time', async () => {
    const cluster = await ChartCluster.start();
    try {
      await cluster.restrictedNamespace(NAMESPACE);
      const mine = (await rendered()).filter(
        ({ kind, metadata }) => kind !== 'Job' && metadata?.name?.startsWith(NAME),
      );
      for (const object of mine.filter(({ kind }) =>
        ['Secret', 'ServiceAccount', 'Role', 'RoleBinding'].includes(kind ?? ''),
      )) {
        await cluster.apply(object);
      }
      const user = `system:serviceaccount:${NAMESPACE}:${NAME}-credentials`;
      const kubeconfig = cluster.kubeconfig(cluster.server.tokenFor(user, ['system:serviceaccounts']));
      const look = async () =>
        Promise.all(
          ['server', 'manager', 'inspector', 'ca'].map(async (part) => {
            const address = {
              group: '',
              version: 'v1',
              resource: 'secrets',
              namespace: NAMESPACE,
              name: `${NAME}-${part}`,
            };
            return secret.parse(await cluster.client.get(resourcePath(address)));
          }),
        );
      const make = async (): Promise<string> => {
        const job = new LocalProcess({
          name: 'credentials',
          command: [process.execPath, '--conditions=@shard/source', MANAGER_MAIN, 'nats-credentials'],
          env: { POD_NAMESPACE: NAMESPACE, SECRETS: NAME, NATS_NAMES: NAME, KUBECONFIG: kubeconfig },
        });
        if ((await job.exit) !== 0) throw new Error(job.output);
        return job.output;
      };
      expect((await look()).every(({ data }) => data === undefined)).toBe(true);
      const output = await make();
      const first = await look();
      expect(first.map(({ data }) => Object.keys(data ?? {}).toSorted())).toEqual([
        ['ca.crt', 'ca.key', 'tls.crt', 'tls.key', 'users.conf'],
        ['issuer.nk', 'nats.nk'],
        ['nats.nk'],
        ['ca.crt'],
      ]);
      expect(output).not.toMatch(/PRIVATE KEY|S[AU][A-Z2-7]{50}/);
      await make();
      expect(await look()).toEqual(first);
      // What an upgrade applies again leaves the content alone.
      for (const object of mine.filter(({ kind }) => kind === 'Secret')) await cluster.apply(object);
      expect((await look()).map(({ data }) => data)).toEqual(first.map(({ data }) => data));
    } finally {
      await cluster.stop();
    }
  });

  test('says what is wrong with its command', async () => {
    const job = new LocalProcess({
      name: 'unknown',
      command: [process.execPath, '--conditions=@shard/source', MANAGER_MAIN, 'nats-credential'],
    });
    expect(await job.exit).not.toBe(0);
    expect(job.output).toContain('nats-credential is no command: choose one of manager, nats-credentials');
  });
});
