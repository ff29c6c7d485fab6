import {
  KubernetesClient,
  type KubernetesObject,
  LeaseElector,
  Reflector,
  resourcePath,
  staticEndpoint,
} from '@shard-controller/shared/kubernetes';
import { createLogger, type Logger } from '@shard-controller/shared/observability';
import { elapse } from '@shard-controller/shared/testing';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type StandaloneApiServer, startApiServer } from '../cluster/standalone-api-server.ts';

const LEASES = '/apis/coordination.k8s.io/v1/namespaces/default/leases';
const CONFIG_MAPS = resourcePath({ group: '', version: 'v1', resource: 'configmaps', namespace: 'default' });
const TIMES = { leaseDurationMs: 10_000, renewDeadlineMs: 7_000, retryPeriodMs: 500 };

let server: StandaloneApiServer;
let clients: KubernetesClient[];
let log: string[];
let stop: AbortController;
let runs: Promise<void>[];

function logger(): Logger {
  return createLogger({ name: 'test', destination: { write: (line) => void log.push(line) } });
}

function client(): KubernetesClient {
  const made = new KubernetesClient({
    endpoint: staticEndpoint({ server: server.server, ca: server.ca, token: server.adminToken }),
    logger: logger(),
    userAgent: 'shard-controller-test',
    requestTimeoutMs: 5_000,
  });
  clients.push(made);
  return made;
}

async function put(name: string): Promise<void> {
  const object = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace: 'default' } };
  await client().apply({ object, fieldManager: 'test' });
}

beforeAll(async () => {
  server = await startApiServer();
});

afterAll(() => server.stop());

beforeEach(() => {
  clients = [];
  log = [];
  stop = new AbortController();
  runs = [];
});

afterEach(async () => {
  stop.abort();
  await Promise.all(runs);
  await Promise.all(clients.map((one) => one.close()));
});

describe.each(['Paged', 'Streaming'] as const)('a %s reflector on a real API server', (listMode) => {
  function reflect(silenceMs?: number): {
    readonly names: Set<string>;
    readonly reflector: Reflector<KubernetesObject>;
  } {
    const names = new Set<string>();
    const nameOf = (object: KubernetesObject): string => object.metadata?.name ?? '';
    const reflector = new Reflector<KubernetesObject>({
      client: client(),
      path: CONFIG_MAPS,
      parse: (raw) => ({ ok: true, value: raw }),
      handler: {
        replace: (items) => {
          names.clear();
          for (const item of items) names.add(nameOf(item));
        },
        upsert: (object) => void names.add(nameOf(object)),
        remove: (object) => void names.delete(nameOf(object)),
      },
      logger: logger(),
      listMode,
      ...(silenceMs === undefined ? {} : { silenceMs }),
    });
    runs.push(reflector.run(stop.signal));
    return { names, reflector };
  }

  it('sees creation and deletion', async () => {
    await put('there');
    const { names, reflector } = reflect();
    await reflector.synced;
    expect(names).toContain('there');
    await put('later');
    await expect.poll(() => names.has('later')).toBe(true);
    await client().delete(`${CONFIG_MAPS}/later`);
    await expect.poll(() => names.has('later')).toBe(false);
  });

  it('survives that the API server is killed and started again, and follows what happened since', async () => {
    await put('kept');
    await put('doomed');
    const { names, reflector } = reflect();
    await reflector.synced;
    await server.kill();
    await elapse(500);
    await server.restart();
    await client().delete(`${CONFIG_MAPS}/doomed`);
    await put('after');
    await expect.poll(() => names.has('after') && !names.has('doomed')).toBe(true);
    expect(names).toContain('kept');
    expect(log.filter((line) => line.includes('a list or watch failed')).length).toBeLessThan(15);
  });

  it('notices a frozen API server by its silence, and goes on when it thaws', async () => {
    const { names, reflector } = reflect(1_500);
    await reflector.synced;
    await server.pause();
    await expect.poll(() => log.some((line) => line.includes('"cause":"silent"'))).toBe(true);
    server.resume();
    await put(`thawed-${listMode.toLowerCase()}`);
    await expect.poll(() => names.has(`thawed-${listMode.toLowerCase()}`)).toBe(true);
  });
});

describe('leader election on a real API server', () => {
  interface Candidate {
    readonly elector: LeaseElector;
    readonly terms: number[];
    readonly client: KubernetesClient;
    stop(): Promise<void>;
  }

  function candidate(identity: string, name: string): Candidate {
    const terms: number[] = [];
    const own = client();
    const elector = new LeaseElector({
      client: own,
      namespace: 'default',
      name,
      identity,
      ...TIMES,
      logger: logger(),
      onStarted: (_, term) => void terms.push(term),
      onStopped: () => {},
    });
    const leave = new AbortController();
    stop.signal.addEventListener('abort', () => leave.abort());
    const running = elector.run(leave.signal);
    runs.push(running);
    const leaving = async (): Promise<void> => {
      leave.abort();
      await running;
    };
    return { elector, terms, client: own, stop: leaving };
  }

  it('hands over at once on a clean stop, after the duration on a crash, each time with a larger term', async () => {
    const a = candidate('a', 'handover');
    await expect.poll(() => a.elector.leading).toBe(true);
    const b = candidate('b', 'handover');
    await elapse(600);
    expect(b.elector.leading).toBe(false);
    await a.stop();
    await expect.poll(() => b.elector.leading).toBe(true);
    const c = candidate('c', 'handover');
    await expect.poll(() => c.elector.holder).toBe(b.elector.identity);
    await b.client.close();
    const held = await client().get<{ spec: { renewTime: string } }>(`${LEASES}/handover`);
    await expect.poll(() => c.elector.leading).toBe(true);
    expect(Date.now() - Date.parse(held.spec.renewTime)).toBeGreaterThan(TIMES.leaseDurationMs - 10);
    expect([...a.terms, ...b.terms, ...c.terms]).toEqual([0, 1, 2]);
  });

  it('steps down while the API server is away, and leads again afterwards with a larger term', async () => {
    const a = candidate('a', 'outage');
    await expect.poll(() => a.elector.leading).toBe(true);
    await server.kill();
    await expect.poll(() => a.elector.leading).toBe(false);
    await server.restart();
    // A server that is still starting may miss a renewal once more.
    await expect.poll(() => a.terms.slice(0, 2)).toEqual([0, 1]);
  });
});
