import { KubernetesClient, resourcePath } from '@shard-controller/shared/kubernetes';
import type { Logger } from '@shard-controller/shared/observability';
import { type Environment, env, parseConfig } from '@shard-controller/shared/runtime';
import { z } from 'zod';
import { kubernetesEndpoint } from '../effects/index.ts';
import { completed, type Credentials } from './credentials.ts';

const environmentSchema = z.object({
  POD_NAMESPACE: env.text('the name of a namespace'),
  /** The Secrets are `<name>-server`, `-manager`, `-inspector` and `-ca`; they exist. */
  SECRETS: env.text('the name that the Secrets begin with'),
  NATS_ACCOUNT: env.text('the name of an account').default('SHARDS'),
  /** Names and addresses of the NATS servers, separated by commas. */
  NATS_NAMES: env.text('names of servers, separated by commas', 16_384),
});

const secretSchema = z.looseObject({
  metadata: z.looseObject({ resourceVersion: z.string() }),
  data: z.record(z.string(), z.string()).optional(),
});

const PARTS = ['server', 'manager', 'inspector', 'ca'] as const;

/**
 * Fills the Secrets by which the bundled NATS and its clients know each other. What is in them stays as long as it is
 * good, so a second run changes nothing. The order lets a server find everything that its clients have.
 */
export async function makeNatsCredentials(
  environment: Environment,
  logger: Logger,
  signal: AbortSignal,
): Promise<void> {
  const e = parseConfig(environmentSchema, environment);
  const client = new KubernetesClient({
    endpoint: await kubernetesEndpoint(environment),
    logger,
    userAgent: 'shard-controller-nats-credentials',
  });
  try {
    const path = (part: string): string =>
      resourcePath({
        group: '',
        version: 'v1',
        resource: 'secrets',
        namespace: e.POD_NAMESPACE,
        name: `${e.SECRETS}-${part}`,
      });
    const read = async (part: (typeof PARTS)[number]) => secretSchema.parse(await client.get(path(part), { signal }));
    const [server, manager, inspector, ca] = await Promise.all([
      read('server'),
      read('manager'),
      read('inspector'),
      read('ca'),
    ]);
    const found = { server, manager, inspector, ca };
    const present: Credentials = {
      server: decoded(server.data),
      manager: decoded(manager.data),
      inspector: decoded(inspector.data),
      ca: decoded(ca.data),
    };
    const names = e.NATS_NAMES.split(',').map((name) => name.trim());
    const wanted = completed(present, { account: e.NATS_ACCOUNT, names, nowMs: Date.now() });
    for (const part of ['manager', 'inspector', 'ca', 'server'] as const) {
      if (JSON.stringify(sorted(present[part])) === JSON.stringify(sorted(wanted[part]))) continue;
      const { resourceVersion } = found[part].metadata;
      // Refused when somebody else wrote in between: the next attempt reads that first.
      await client.patch(path(part), { metadata: { resourceVersion }, data: encoded(wanted[part]) }, { signal });
      logger.info({ secret: `${e.SECRETS}-${part}`, keys: Object.keys(wanted[part]) }, 'wrote credentials');
    }
    logger.info({ secrets: e.SECRETS }, 'the credentials for NATS are complete');
  } finally {
    await client.close();
  }
}

const sorted = (content: Readonly<Record<string, string>>): readonly (readonly [string, string])[] =>
  Object.entries(content).toSorted(([a], [b]) => (a < b ? -1 : 1));

const decoded = (data: Readonly<Record<string, string>> = {}): Record<string, string> =>
  Object.fromEntries(Object.entries(data).map(([key, value]) => [key, Buffer.from(value, 'base64').toString()]));

const encoded = (content: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(content).map(([key, value]) => [key, Buffer.from(value).toString('base64')]));
