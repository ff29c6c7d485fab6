import { errorMessage } from '@shard-controller/shared/runtime';
import type { ServerResponse } from 'node:http';
import type { HealthRoute } from '@shard-controller/shared/observability';
import type { Inspection, ObjectQuery } from '../data-plane/index.ts';
import type { WorkerSnapshot } from '../heartbeat-manager/index.ts';
import type { SelfCheck } from '../self-check/index.ts';

export interface ShardEndpointOptions {
  readonly inspection: Pick<Inspection, 'feeds' | 'slots' | 'totals' | 'find'>;
  readonly snapshot: () => WorkerSnapshot;
  readonly selfCheck: Pick<SelfCheck, 'now' | 'mismatches'>;
}

/** Longest value of a parameter: a namespace, a resource with its group, a name or a uid. */
const MAX_VALUE = 253;
const CHECK_TIMEOUT_MS = 60_000;

const USAGE =
  'use /debug/shard?uid=<uid>[&namespace=<namespace>], /debug/shard?resource=<pods>&name=<name>[&namespace=<namespace>], /debug/shard?check=now, or /debug/shard alone';

/**
 * `/debug/shard`: what this worker holds and why, as JSON, without object bodies. It names objects, Secrets too, so it
 * is off unless `DEBUG_ENDPOINTS` is set.
 */
export function shardEndpoint({ inspection, snapshot, selfCheck }: ShardEndpointOptions): HealthRoute {
  return async (request, response) => {
    const query = new URL(request.url ?? '/', 'http://worker').searchParams;
    if (query.get('check') === 'now') return answerCheck(selfCheck, response);
    if (query.size === 0) return send(response, 200, summary(inspection, snapshot(), selfCheck.mismatches));
    const object = objectQuery(query);
    if (object === undefined) return send(response, 400, { error: USAGE });
    const { gateway } = snapshot();
    return send(response, 200, { ...inspection.find(object), gateway });
  };
}

async function answerCheck(selfCheck: Pick<SelfCheck, 'now'>, response: ServerResponse): Promise<void> {
  try {
    send(response, 200, { kinds: await selfCheck.now(AbortSignal.timeout(CHECK_TIMEOUT_MS)) });
  } catch (error) {
    send(response, 503, { error: errorMessage(error) });
  }
}

function objectQuery(query: URLSearchParams): ObjectQuery | undefined {
  const known = new Set(['uid', 'resource', 'namespace', 'name']);
  for (const [name, value] of query) if (!known.has(name) || value === '' || value.length > MAX_VALUE) return undefined;
  const [uid, resource, name] = ['uid', 'resource', 'name'].map((each) => query.get(each) ?? undefined);
  const namespace = query.get('namespace') ?? undefined;
  if (uid !== undefined) {
    if (resource !== undefined || name !== undefined) return undefined;
    return namespace === undefined ? { uid } : { uid, namespace };
  }
  return resource !== undefined && name !== undefined ? { resource, namespace: namespace ?? '', name } : undefined;
}

function summary(
  inspection: ShardEndpointOptions['inspection'],
  { assignment, refusal, dataPlane, gateway, exporter, scrapers }: WorkerSnapshot,
  mismatches: ReadonlyMap<string, number>,
): unknown {
  return {
    assignment,
    refusal,
    gateway,
    exporter,
    scrapers,
    slotsAcknowledged: dataPlane.slots,
    handovers: dataPlane.handovers,
    staleFeeds: dataPlane.staleFeeds,
    unavailable: dataPlane.unavailable,
    mismatches: Object.fromEntries(mismatches),
    totals: inspection.totals(),
    feeds: inspection.feeds(),
    slots: inspection.slots().filter(({ role, objects }) => role !== 'none' || objects > 0),
  };
}

function send(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store' });
  response.end(`${JSON.stringify(body, null, 1)}\n`);
}
