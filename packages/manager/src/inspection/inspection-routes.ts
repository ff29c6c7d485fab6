import type { HealthRoute } from '@shard-controller/shared/observability';
import { type Failure, failureOf, type ServiceEndpoint } from './nats-service.ts';

/** The manager that was asked does not lead. @remedy ask another one. */
const NOT_LEADING = 'SC_NOT_LEADING';

/** Longest question in a URL, bytes: Node's own limit for all headers is 16 KiB. */
const MAX_QUERY = 8_000;

/**
 * The endpoints as GET paths, `/inspect/v1/<endpoint>?query=<JSON>`, for those who reach the manager through the API
 * server and not NATS. 503 from a manager that does not lead: another one answers.
 */
export function inspectionRoutes(
  endpoints: readonly ServiceEndpoint[],
  leads: () => boolean,
): ReadonlyMap<string, HealthRoute> {
  const route =
    ({ answer }: ServiceEndpoint): HealthRoute =>
    async (request, response) => {
      const say = (status: number, body: object): void => {
        response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' });
        response.end(JSON.stringify(body));
      };
      const refuse = (status: number, error: Failure): void => say(status, { error });
      if (!leads()) {
        return refuse(503, { code: NOT_LEADING, message: 'this manager does not lead; ask another one' });
      }
      const query = new URL(request.url ?? '/', 'http://manager').searchParams.get('query') ?? '';
      if (query.length > MAX_QUERY) {
        return refuse(414, { code: 'SC_INSPECT_QUERY', message: `a query may have ${MAX_QUERY} characters` });
      }
      try {
        say(200, await answer(Buffer.from(query)));
      } catch (error) {
        const failure = failureOf(error);
        refuse(failure.code === 'SC_INSPECT_FAILED' ? 500 : 400, failure);
      }
    };
  return new Map(endpoints.map((endpoint) => [`/inspect/v1/${endpoint.name}`, route(endpoint)]));
}
