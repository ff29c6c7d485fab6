import { KubernetesClient, Reflector, resourcePath, staticEndpoint } from '@shard-controller/shared/kubernetes';
import { createLogger } from '@shard-controller/shared/observability';
import { z } from 'zod';
import type { VerifierSettings } from './protocol.ts';
import type { Target } from './scrape.ts';

const sliceSchema = z.object({
  metadata: z.object({ name: z.string(), uid: z.string(), resourceVersion: z.string() }),
  endpoints: z
    .array(
      z.object({ addresses: z.array(z.string()), targetRef: z.object({ name: z.string().optional() }).optional() }),
    )
    .nullish(),
  ports: z.array(z.object({ name: z.string().nullish(), port: z.number().nullish() })).nullish(),
});

type Slice = z.infer<typeof sliceSchema>;

/** Follows the EndpointSlices of one Service, like Prometheus does: every endpoint is a target, ready or not. */
export class ServiceTargets {
  readonly #settings: VerifierSettings;
  readonly #slices = new Map<string, Slice>();

  constructor(settings: VerifierSettings) {
    this.#settings = settings;
  }

  current(): readonly Target[] {
    const targets = new Map<string, Target>();
    for (const slice of this.#slices.values()) {
      const port = slice.ports?.find((p) => p.name === this.#settings.portName)?.port;
      if (port === undefined || port === null) continue;
      for (const endpoint of slice.endpoints ?? []) {
        const [address] = endpoint.addresses;
        if (address === undefined) continue;
        const url = `http://${address}:${port}/metrics`;
        targets.set(url, { name: endpoint.targetRef?.name ?? address, url });
      }
    }
    return [...targets.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  async run(signal: AbortSignal): Promise<void> {
    const { server, ca, token, namespace, service } = this.#settings;
    const logger = createLogger({ name: 'verifier', level: 'error' });
    const client = new KubernetesClient({
      endpoint: staticEndpoint({ server, ca, token }),
      logger,
      userAgent: 'verifier',
    });
    const reflector = new Reflector<Slice>({
      client,
      path: resourcePath({ group: 'discovery.k8s.io', version: 'v1', resource: 'endpointslices', namespace }),
      query: { labelSelector: `kubernetes.io/service-name=${service}` },
      parse: (raw) => {
        const parsed = sliceSchema.safeParse(raw);
        return parsed.success ? { ok: true, value: parsed.data } : { ok: false, problems: [parsed.error.message] };
      },
      handler: {
        replace: (slices) => {
          this.#slices.clear();
          for (const slice of slices) this.#slices.set(slice.metadata.name, slice);
        },
        upsert: (slice) => void this.#slices.set(slice.metadata.name, slice),
        remove: (slice) => void this.#slices.delete(slice.metadata.name),
      },
      logger,
      maxBackoffMs: 500,
    });
    await reflector.run(signal);
    await client.close();
  }
}
