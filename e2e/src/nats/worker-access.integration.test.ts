import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { NatsAuthenticator, PodTokens } from '@shard-controller/manager/nats-access';
import {
  ASSIGNMENT_STREAM,
  assignmentSubject,
  EVENT_STREAM,
  heartbeatSubject,
  pingSubject,
  type WorkerAddress,
} from '@shard-controller/shared/contracts';
import { KubernetesClient, resourcePath, staticEndpoint } from '@shard-controller/shared/kubernetes';
import {
  appendOnlyStream,
  connectNats,
  ensureStream,
  LastValueStream,
  lastValueStream,
  type NatsAuth,
  type NatsLink,
} from '@shard-controller/shared/nats';
import { createLogger } from '@shard-controller/shared/observability';
import { systemClock } from '@shard-controller/shared/runtime';
import { nkeys, type NatsConnection } from '@nats-io/transport-node';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { type StandaloneApiServer, startApiServer } from '../cluster/standalone-api-server.ts';
import { type NatsServer, startNatsServer } from './nats-server.ts';
import { RecordingLogger } from './recording-logger.ts';

const NAMESPACE = 'default';
const AUDIENCE = 'nats.shard.io';
const ACCOUNT = 'worker';
const SELF = { namespace: NAMESPACE, config: 'main', shardId: 'shard-000', replica: 'a' } as const;
const OTHER = { ...SELF, shardId: 'shard-001' } as const;
const quiet = createLogger({ name: 'test', level: 'silent' });
const created = z.looseObject({ metadata: z.looseObject({ uid: z.string() }) });
const tokenRequest = z.looseObject({ status: z.looseObject({ token: z.string() }) });
const seedOf = (pair: ReturnType<typeof nkeys.createUser>): string => new TextDecoder().decode(pair.getSeed());

let folder = '';
let apiServer: StandaloneApiServer;
let client: KubernetesClient;
let nats: NatsServer;
let manager: NatsLink;
const workers = new Map<string, WorkerAddress>();
const links: NatsLink[] = [];
const logger = new RecordingLogger();

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'nats-access-'));
  apiServer = await startApiServer();
  const { server, ca, adminToken } = apiServer;
  const connect = (token: string): KubernetesClient =>
    new KubernetesClient({ endpoint: staticEndpoint({ server, ca, token }), logger: quiet, userAgent: 'test' });
  client = connect(adminToken);
  const issuer = nkeys.createAccount();
  const user = nkeys.createUser();
  const [issuerFile, seedFile] = ['issuer.nk', 'manager.nk'].map((name) => join(folder, name));
  writeFileSync(issuerFile ?? '', seedOf(issuer));
  writeFileSync(seedFile ?? '', seedOf(user));
  nats = await startNatsServer({
    config: `
      accounts { SHARDS { jetstream: enabled, users: [ { nkey: ${user.getPublicKey()} } ] } }
      authorization {
        timeout: 5
        auth_callout { issuer: ${issuer.getPublicKey()}, account: SHARDS, auth_users: [ ${user.getPublicKey()} ] }
      }`,
  });
  manager = await connectNats({
    servers: nats.url,
    name: 'manager',
    logger,
    auth: { kind: 'nkey', seedFile: seedFile ?? '' },
  });
  await ensureStream(
    manager,
    lastValueStream({ name: ASSIGNMENT_STREAM, subjects: ['shard.assignments.>'], replicas: 1 }),
  );
  await ensureStream(manager, appendOnlyStream({ name: EVENT_STREAM, subjects: ['shard.events.>'], replicas: 1 }));
  // Whoever has no rights of its own may still read the keys.
  const reader = connect(apiServer.tokenFor('system:serviceaccount:default:manager', ['system:serviceaccounts']));
  new NatsAuthenticator({
    tokens: new PodTokens({ client: reader, audience: AUDIENCE, clock: systemClock }),
    workerOf: (uid) => workers.get(uid),
    namespace: NAMESPACE,
    serviceAccount: ACCOUNT,
    issuerFile: issuerFile ?? '',
    account: 'SHARDS',
    clock: systemClock,
    logger,
  }).join(manager);
  for (const name of [ACCOUNT, 'somebody'])
    await client.create(`/api/v1/namespaces/${NAMESPACE}/serviceaccounts`, { metadata: { name } });
});

afterEach(async () => {
  await Promise.all(links.splice(0).map((link) => link.close()));
});

afterAll(async () => {
  await manager?.close();
  await nats?.dispose();
  await client?.close();
  await apiServer?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** A token of a fresh pod, as kubelet would ask for it. */
async function podToken(
  options: { readonly account?: string; readonly audience?: string; readonly worker?: WorkerAddress } = {},
): Promise<string> {
  const { account = ACCOUNT, audience = AUDIENCE, worker } = options;
  const pods = resourcePath({ group: '', version: 'v1', resource: 'pods', namespace: NAMESPACE });
  const spec = { serviceAccountName: account, containers: [{ name: 'worker', image: 'worker' }] };
  const name = `main-a-${workers.size}-${links.length}-${Math.random().toString(36).slice(2, 8)}`;
  const pod = created.parse(await client.create<unknown>(pods, { metadata: { name }, spec }));
  if (worker !== undefined) workers.set(pod.metadata.uid, worker);
  const boundObjectRef = { kind: 'Pod', apiVersion: 'v1', name, uid: pod.metadata.uid };
  const answer = await client.create<unknown>(`/api/v1/namespaces/${NAMESPACE}/serviceaccounts/${account}/token`, {
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenRequest',
    spec: { audiences: [audience], expirationSeconds: 600, boundObjectRef },
  });
  return `${tokenRequest.parse(answer).status.token}\n${name}`;
}

async function connectAs(credentials: string): Promise<NatsLink> {
  const [token = '', inbox] = credentials.split('\n');
  const file = join(folder, `token-${links.length}`);
  writeFileSync(file, token);
  return connectWith({ kind: 'token-file', file }, inbox);
}

async function connectWith(auth: NatsAuth, inbox = 'nobody'): Promise<NatsLink> {
  const link = await connectNats({ servers: nats.url, name: 'client', logger: new RecordingLogger(), auth, inbox });
  links.push(link);
  return link;
}

describe('NATS asks the managers who a client is', () => {
  it.each([
    ['shows nothing', async () => connectWith({ kind: 'none' })],
    ['shows a text', async () => connectWith({ kind: 'token', token: 'let me in' })],
    ['shows a token of another account', async () => connectAs(await podToken({ account: 'somebody', worker: SELF }))],
    [
      'shows a token for the API server',
      async () => connectAs(await podToken({ audience: 'https://kubernetes.default.svc', worker: SELF })),
    ],
    ['shows a token of a pod that is no worker', async () => connectAs(await podToken())],
  ])('and one that %s stays outside', async (_, connect) => {
    const link = await connect();
    expect(link.connected).toBe(false);
    expect(link.status.problem).toMatch(/Authorization Violation/i);
  });

  it('and says in its log why, without the token', async () => {
    const credentials = await podToken();
    await connectAs(credentials);
    await expect.poll(() => logger.text('warn')).toContain('there is no worker pod default/main-a-');
    expect(JSON.stringify(logger.lines)).not.toContain(credentials.split('.')[1]);
  });

  it('and a worker gets in: it is heard, answers, and reads assignments', async () => {
    const link = await connectAs(await podToken({ worker: SELF }));
    expect(link.connected).toBe(true);
    const heard = Promise.withResolvers<string>();
    manager.subscribeRaw(heartbeatSubject(SELF), (message) => heard.resolve(message.string()));
    await manager.answers();
    link.publish(heartbeatSubject(SELF), { is: 'well' });
    expect(await heard.promise).toBe('{"is":"well"}');
    link.subscribe({ subject: pingSubject(SELF), schema: z.unknown() }, (message) => {
      message.respond('here');
    });
    await link.answers();
    const answer = await manager.request({ subject: pingSubject(SELF), body: {}, schema: z.string() });
    expect(answer).toMatchObject({ kind: 'reply', reply: { value: 'here' } });
    const assignments = { stream: ASSIGNMENT_STREAM, schema: z.string() };
    await new LastValueStream({ link: manager, ...assignments }).publish(assignmentSubject(SELF), 'yours');
    const seen: string[] = [];
    const over = new AbortController();
    const watching = new LastValueStream({ link, ...assignments }).watch(assignmentSubject(SELF), {
      signal: over.signal,
      onRecord: ({ body }) => void (body.ok && seen.push(body.value)),
    });
    await expect.poll(() => seen).toEqual(['yours']);
    await new LastValueStream({ link: manager, ...assignments }).publish(assignmentSubject(SELF), 'newer');
    await expect.poll(() => seen).toEqual(['yours', 'newer']);
    over.abort();
    await watching;
  });
});

/** Everything that a stolen identity could be used for. */
const FORBIDDEN = [
  heartbeatSubject(OTHER),
  heartbeatSubject({ ...SELF, replica: 'b' }),
  heartbeatSubject({ ...SELF, config: 'other' }),
  assignmentSubject(SELF),
  assignmentSubject(OTHER),
  'shard.events.default.main.uid',
  pingSubject(OTHER),
  'shard.verify.default.main.shard-001.a',
  'shard.inspect.status',
  '$SRV.PING',
  '$SYS.REQ.USER.AUTH',
  '$SYS.REQ.SERVER.PING',
  `$JS.API.STREAM.DELETE.${EVENT_STREAM}`,
  `$JS.API.STREAM.PURGE.${ASSIGNMENT_STREAM}`,
  `$JS.API.STREAM.UPDATE.${ASSIGNMENT_STREAM}`,
  `$JS.API.STREAM.MSG.DELETE.${EVENT_STREAM}`,
  `$JS.API.STREAM.MSG.GET.${EVENT_STREAM}`,
  `$JS.API.DIRECT.GET.${EVENT_STREAM}`,
  '$JS.API.STREAM.CREATE.OTHER',
  `$JS.API.CONSUMER.CREATE.${EVENT_STREAM}`,
  '_INBOX.main-a-1.reply',
  'anything',
];

const OVERHEARD = ['>', 'shard.>', heartbeatSubject(OTHER), pingSubject(OTHER), 'shard.verify.>', '_INBOX.>', '$SYS.>'];

describe('a stolen identity of a worker', () => {
  /** What the server refuses of what `act` does. */
  async function refusals(act: (connection: NatsConnection) => void): Promise<readonly string[]> {
    const link = await connectAs(await podToken({ worker: SELF }));
    const { connection } = link.session();
    const refused: string[] = [];
    void (async () => {
      for await (const status of connection.status()) if (status.type === 'error') refused.push(String(status.error));
    })();
    act(connection);
    await connection.flush();
    return refused;
  }

  it.each(FORBIDDEN)('cannot write to %s', async (subject) => {
    const heard: string[] = [];
    const ear = manager.subscribeRaw(subject, (message) => heard.push(message.string()));
    await manager.answers();
    const refused = await refusals((connection) => connection.publish(subject, 'forged'));
    await manager.answers();
    ear.unsubscribe();
    expect(heard).not.toContain('forged');
    expect(refused.join()).toContain(`Permissions Violation for Publish to "${subject}"`);
  });

  it.each(OVERHEARD)('cannot listen to %s', async (subject) => {
    const heard: string[] = [];
    const refused = await refusals((connection) => {
      connection.subscribe(subject, { callback: (error, message) => void (error ?? heard.push(message.subject)) });
    });
    manager.publish(heartbeatSubject(OTHER), 'of another');
    await manager.answers();
    expect(heard).toEqual([]);
    expect(refused.join()).toContain(`Permissions Violation for Subscription to "${subject}"`);
  });

  it('is worth nothing once the pod is gone and its token has run out: the server ends the connection', async () => {
    const link = await connectAs(await podToken({ worker: SELF }));
    expect(link.connected).toBe(true);
    workers.clear();
    const again = await connectWith({ kind: 'token-file', file: join(folder, 'token-0') });
    expect(again.connected).toBe(false);
  });
});

it('hundreds of workers that come back at once are all let in', async () => {
  const tokens = await Promise.all(
    Array.from({ length: 20 }, (_, i) =>
      podToken({ worker: { ...SELF, shardId: `shard-${String(i).padStart(3, '0')}` } }),
    ),
  );
  const all = await Promise.all(Array.from({ length: 200 }, (_, i) => connectAs(tokens[i % 20] ?? '')));
  await expect.poll(() => all.filter(({ connected }) => connected).length).toBe(200);
});
