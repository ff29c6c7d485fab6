import {
  inspectionAnswers,
  type InspectionAnswer,
  type InspectionEndpoint,
  type InspectionQuery,
} from '@shard-controller/shared/contracts';
import { z } from 'zod';
import { CliError, EXIT } from './errors.ts';
import type { Kubectl } from './kubectl.ts';

const MANAGERS = 'app.kubernetes.io/part-of=shard-controller,app.kubernetes.io/component=manager';

const podsSchema = z.looseObject({
  items: z.array(
    z.looseObject({
      metadata: z.looseObject({ name: z.string(), namespace: z.string() }),
      spec: z.looseObject({
        containers: z.array(
          z.looseObject({
            ports: z.array(z.looseObject({ name: z.string().default(''), containerPort: z.number() })).default([]),
          }),
        ),
      }),
      status: z.looseObject({ phase: z.string().default('') }).prefault({}),
    }),
  ),
});

/** A manager's pod, and the port on which it answers. */
export interface ManagerPod {
  readonly namespace: string;
  readonly name: string;
  readonly port: number;
}

const HTTP_PORT = 8080;

export async function managerPods(kubectl: Kubectl): Promise<readonly ManagerPod[]> {
  const { items } = podsSchema.parse(await kubectl.json(['get', 'pods', '-l', MANAGERS]));
  return items
    .filter(({ status }) => status.phase === 'Running')
    .map(({ metadata, spec }) => ({
      namespace: metadata.namespace,
      name: metadata.name,
      port:
        spec.containers.flatMap(({ ports }) => ports).find(({ name }) => name.startsWith('http'))?.containerPort ??
        HTTP_PORT,
    }));
}

/**
 * Asks the leading manager, through the API server's pod proxy: the right to `get` the subresource `pods/proxy` is all
 * that it takes, and no way to NATS.
 * @throws CliError
 */
export async function ask<E extends InspectionEndpoint>(
  kubectl: Kubectl,
  endpoint: E,
  query: InspectionQuery<E>,
): Promise<InspectionAnswer<E>> {
  const managers = await managerPods(kubectl);
  if (managers.length === 0) {
    throw new CliError(
      EXIT.unreachable,
      `no manager runs in this namespace (pods with ${MANAGERS}); choose it with -n`,
    );
  }
  let refused = '';
  for (const { namespace, name, port } of managers) {
    const path = `/api/v1/namespaces/${namespace}/pods/${name}:${port}/proxy/inspect/v1/${endpoint}`;
    const { ok, text } = await kubectl.raw(`${path}?query=${encodeURIComponent(JSON.stringify(query))}`);
    if (ok) {
      const schema: z.ZodType = inspectionAnswers[endpoint];
      return schema.parse(JSON.parse(text)) as InspectionAnswer<E>;
    }
    const problem = problemIn(text);
    if (problem.code === 'SC_INSPECT_QUERY' || problem.code === 'SC_UNKNOWN_STRATEGY') {
      throw new CliError(EXIT.usage, problem.message);
    }
    refused = problem.message;
  }
  throw new CliError(EXIT.unreachable, `no manager answers (${managers.length} asked): ${refused}`);
}

/** kubectl prints the body of a refusal; a manager's holds a code and a sentence. */
function problemIn(text: string): { readonly code: string; readonly message: string } {
  const match = /\{"error":\{"code":"(SC_[A-Z_]+)","message":("(?:[^"\\]|\\.)*")\}\}/.exec(text.replaceAll('\\"', '"'));
  if (match?.[1] === undefined || match[2] === undefined) return { code: '', message: text };
  return { code: match[1], message: String(JSON.parse(match[2])) };
}
