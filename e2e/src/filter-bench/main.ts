import { createLogger } from '@shard-controller/shared/observability';
import { KubernetesClient, staticEndpoint } from '@shard-controller/shared/kubernetes';
import { startApiServer } from '../cluster/standalone-api-server.ts';
import { benchFilter } from './filter-bench.ts';

/** Prints what filter and diet cost, on frames of a real API server: `node --conditions=@shard/source e2e/src/filter-bench/main.ts`. */
const api = await startApiServer();
const client = new KubernetesClient({
  endpoint: staticEndpoint({ server: api.server, ca: api.ca, token: api.adminToken }),
  logger: createLogger({ name: 'filter-bench', level: 'warn' }),
  userAgent: 'filter-bench',
});
try {
  const bench = await benchFilter(client, 2_000);
  for (const [name, { objectsPerSecond, bytesPerObject, ...more }] of Object.entries(bench)) {
    const cut = 'prunedShare' in more ? `, ${Math.round(Number(more.prunedShare) * 100)} % cut` : '';
    const nanoseconds = Math.round(1e9 / objectsPerSecond);
    console.log(
      `${name}: ${Math.round(objectsPerSecond)} objects/s per core, ${nanoseconds} ns per object of ${Math.round(bytesPerObject)} bytes${cut}`,
    );
  }
} finally {
  await client.close();
  await api.stop();
}
