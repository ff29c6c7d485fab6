import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Agent, request } from 'undici';
import { parse } from 'yaml';
import { z } from 'zod';
import { untilWell } from '@shard-controller/shared/testing';
import { type ApiServerOptions, type StandaloneApiServer, startApiServer } from '../cluster/standalone-api-server.ts';
import type { Fields, Kind } from './crd-rule-cases.ts';

/** The files that are shipped. */
const CRD_FOLDER = join(import.meta.dirname, '../../../crds');

const COLLECTIONS: Readonly<Record<Kind, string>> = {
  ShardConfig: 'shard.io/v1/namespaces/default/shardconfigs',
  ShardInstance: 'shard.io/v1/namespaces/default/shardinstances',
  KSMScale: 'monitor.example.com/v1alpha1/ksmscales',
};

const crdSchema = z.looseObject({
  metadata: z.looseObject({ name: z.string() }),
  spec: z.looseObject({
    names: z.looseObject({ kind: z.enum(['ShardConfig', 'ShardInstance', 'KSMScale']) }),
    versions: z.array(z.looseObject({ schema: z.looseObject({ openAPIV3Schema: z.unknown() }) })).length(1),
  }),
  status: z
    .looseObject({
      conditions: z.array(z.looseObject({ type: z.string(), status: z.string(), message: z.string().optional() })),
    })
    .optional(),
});

export type Crd = z.infer<typeof crdSchema>;

export interface CelRule {
  readonly kind: Kind;
  readonly at: string;
  readonly rule: string;
  readonly message: string;
}

export function readCrds(): readonly Crd[] {
  return readdirSync(CRD_FOLDER)
    .filter((name) => name.endsWith('.yaml'))
    .map((name) => crdSchema.parse(parse(readFileSync(join(CRD_FOLDER, name), 'utf8'))));
}

const nodeSchema = z.looseObject({
  properties: z.record(z.string(), z.unknown()).optional(),
  items: z.unknown().optional(),
  'x-kubernetes-validations': z.array(z.object({ rule: z.string(), message: z.string() })).optional(),
});

/** Every CEL rule of a CRD, with the place where it stands. */
export function rulesOf(crd: Crd): readonly CelRule[] {
  const { kind } = crd.spec.names;
  const walk = (raw: unknown, at: string): readonly CelRule[] => {
    const node = nodeSchema.parse(raw);
    const own = (node['x-kubernetes-validations'] ?? []).map(({ rule, message }) => ({ kind, at, rule, message }));
    const children = Object.entries(node.properties ?? {}).map(([name, child]) => [joined(at, name), child] as const);
    return [
      ...own,
      ...children.flatMap(([path, child]) => walk(child, path)),
      ...(node.items === undefined ? [] : walk(node.items, `${at}[]`)),
    ];
  };
  return crd.spec.versions.flatMap((version) => walk(version.schema.openAPIV3Schema, ''));
}

const joined = (at: string, name: string): string => (at === '' ? name : `${at}.${name}`);

const objectSchema = z.looseObject({
  message: z.string().optional(),
  metadata: z.looseObject({ resourceVersion: z.string().optional() }).optional(),
});

export interface Answer {
  readonly status: number;
  /** The object, or a `Status`. */
  readonly body: z.infer<typeof objectSchema>;
  /** Text of a `Status`; empty for an object. */
  readonly message: string;
}

/** A real API server that has our CRDs. */
export class CrdFixture {
  readonly server: StandaloneApiServer;
  readonly #dispatcher: Agent;

  static async start(options: ApiServerOptions = {}): Promise<CrdFixture> {
    const fixture = new CrdFixture(await startApiServer(options));
    try {
      for (const crd of readCrds()) await fixture.#establish(crd);
      return fixture;
    } catch (error) {
      await fixture.stop();
      throw error;
    }
  }

  private constructor(server: StandaloneApiServer) {
    this.server = server;
    this.#dispatcher = new Agent({ connect: { ca: server.ca } });
  }

  async stop(): Promise<void> {
    await this.#dispatcher.destroy();
    await this.server.stop();
  }

  async request(method: 'GET' | 'POST' | 'PUT' | 'PATCH', path: string, options: RequestFields = {}): Promise<Answer> {
    const response = await request(`${this.server.server}${path}`, {
      dispatcher: this.#dispatcher,
      method,
      headers: {
        authorization: `Bearer ${options.token ?? this.server.adminToken}`,
        accept: options.accept ?? 'application/json',
        'content-type': options.contentType ?? 'application/json',
      },
      ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
    });
    const text = await response.body.text();
    // A path that is not served yet is answered with a plain sentence.
    const body = objectSchema.parse(text.startsWith('{') ? JSON.parse(text) : { message: text });
    return { status: response.statusCode, body, message: body.message ?? '' };
  }

  path(kind: Kind, name?: string, subresource?: string): string {
    return ['/apis', COLLECTIONS[kind], name, subresource].filter((part) => part !== undefined).join('/');
  }

  async crd(name: string): Promise<Crd> {
    const { body } = await this.request('GET', `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${name}`);
    return crdSchema.parse(body);
  }

  async #establish(crd: Crd): Promise<void> {
    const collection = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
    const created = await this.request('POST', collection, { body: crd });
    if (created.status !== 201) throw new Error(`${crd.metadata.name} was refused: ${created.message}`);
    await untilWell(async () => {
      const { status } = await this.request('GET', this.path(crd.spec.names.kind));
      return status === 200 ? undefined : `${crd.metadata.name} is not served: ${status}`;
    });
  }
}

interface RequestFields {
  readonly body?: unknown;
  readonly accept?: string;
  readonly contentType?: string;
  readonly token?: string;
}

const BASE_INSTANCE: Fields = {
  generation: 1,
  epoch: 1,
  slotCount: 256,
  shardBy: 'uid',
};

/** A valid object with some fields of its spec replaced. */
export function objectOf(kind: Kind, seed: string, fields: Fields, name?: string): Fields {
  if (kind === 'ShardConfig') {
    return { apiVersion: 'shard.io/v1', kind, metadata: { name: name ?? seed, namespace: 'default' }, spec: fields };
  }
  const { shardConfigRef, shardId = 'shard-000', ...rest } = fields;
  if (kind === 'KSMScale') {
    return { apiVersion: 'monitor.example.com/v1alpha1', kind, metadata: { name: name ?? seed }, spec: fields };
  }
  const reference = { name: seed, uid: 'u-1', ...z.looseObject({}).parse(shardConfigRef ?? {}) };
  const spec = { ...BASE_INSTANCE, ...rest, shardId, shardConfigRef: reference };
  return {
    apiVersion: 'shard.io/v1',
    kind,
    metadata: { name: name ?? `${reference.name}-${String(shardId)}`, namespace: 'default' },
    spec,
  };
}
