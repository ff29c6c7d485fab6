import { join } from 'node:path';
import fc from 'fast-check';
import protobuf from 'protobufjs';
import { beforeAll, describe, expect, test } from 'vitest';
import { protobufCodec } from '../wire/frame-codec.ts';
import { FrameView } from '../wire/frame-view.ts';
import { prunerFor } from './exporter-pruning.ts';
import { goModuleFolder } from './testing/go-module.ts';
import { randomOf } from './testing/json-text.ts';

/** Kinds with what the exporter's allow-list and its own reading leave of their annotations. */
const KINDS = [
  { group: '', version: 'v1', package: 'core', kind: 'Pod', resource: 'pods', kept: ['example.com/owner'] },
  { group: '', version: 'v1', package: 'core', kind: 'Node', resource: 'nodes', kept: [] },
  { group: '', version: 'v1', package: 'core', kind: 'Secret', resource: 'secrets', kept: [] },
  { group: '', version: 'v1', package: 'core', kind: 'ConfigMap', resource: 'configmaps', kept: [] },
  {
    group: '',
    version: 'v1',
    package: 'core',
    kind: 'PersistentVolumeClaim',
    resource: 'persistentvolumeclaims',
    kept: ['volume.beta.kubernetes.io/storage-class'],
  },
  { group: 'apps', version: 'v1', package: 'apps', kind: 'Deployment', resource: 'deployments', kept: undefined },
  {
    group: 'networking.k8s.io',
    version: 'v1',
    package: 'networking',
    kind: 'Ingress',
    resource: 'ingresses',
    kept: ['kubernetes.io/ingress.class', 'example.com/team'],
  },
  { group: 'batch', version: 'v1', package: 'batch', kind: 'CronJob', resource: 'cronjobs', kept: [] },
] as const;

const EXPORTER = {
  version: '2.20.0',
  annotationAllowList: new Map([
    ['pods', ['example.com/owner']],
    ['deployments', ['*']],
    ['ingresses', ['example.com/team']],
  ]),
};

const ANNOTATIONS = [
  'example.com/owner',
  'example.com/team',
  'kubernetes.io/ingress.class',
  'volume.beta.kubernetes.io/storage-class',
  'kubectl.kubernetes.io/last-applied-configuration',
];

let root: protobuf.Root;

beforeAll(async () => {
  const api = await goModuleFolder('kubernetes', 'k8s.io/api');
  const machinery = await goModuleFolder('kubernetes', 'k8s.io/apimachinery');
  root = new protobuf.Root();
  root.resolvePath = (_origin, target) =>
    target.replace(/^k8s\.io\/apimachinery\//, `${machinery}/`).replace(/^k8s\.io\/api\//, `${api}/`);
  const packages = [...new Set(KINDS.map((kind) => kind.package))];
  const files = packages.map((name) => join(api, name, 'v1', 'generated.proto'));
  await root.load([...files, join(machinery, 'pkg/runtime/generated.proto')], { keepCase: true });
  root.resolveAll();
});

type Message = Record<string, unknown>;

/** A message with a random part of its fields set, some levels deep. */
function randomMessage(type: protobuf.Type, random: () => number, depth: number): Message {
  const message: Message = {};
  for (const field of type.fieldsArray) {
    if (random() < 0.45) continue;
    const value = (): unknown => randomValue(field, random, depth);
    if (field instanceof protobuf.MapField) {
      const keys = field.name === 'annotations' ? ANNOTATIONS : ['a', 'b', 'ü'];
      message[field.name] = Object.fromEntries(keys.filter(() => random() < 0.5).map((key) => [key, value()]));
    } else if (field.repeated) message[field.name] = Array.from({ length: Math.floor(random() * 3) }, value);
    else message[field.name] = value();
  }
  return message;
}

function randomValue(field: protobuf.Field, random: () => number, depth: number): unknown {
  const { resolvedType } = field;
  if (resolvedType instanceof protobuf.Type) return depth > 0 ? randomMessage(resolvedType, random, depth - 1) : {};
  switch (field.type) {
    case 'string':
      return ['', 'text', 'näme', 'x'.repeat(Math.floor(random() * 300))][Math.floor(random() * 4)];
    case 'bytes':
      return Buffer.from(Array.from({ length: Math.floor(random() * 40) }, () => Math.floor(random() * 256)));
    case 'bool':
      return random() < 0.5;
    case 'double':
    case 'float':
      return random();
    default:
      return Math.floor(random() * 2 ** 31);
  }
}

function messageType(name: string): protobuf.Type {
  return root.lookupType(`k8s.io.${name}`);
}

function encode(name: string, message: Message): Buffer {
  return Buffer.from(messageType(name).encode(message).finish());
}

function decode(name: string, bytes: Uint8Array): Message {
  const type = messageType(name);
  return type.toObject(type.decode(bytes), { bytes: String, longs: String });
}

/** The frame that kube-apiserver would send. */
function frameOf(apiVersion: string, kind: string, object: Buffer): Buffer {
  const unknown = encode('apimachinery.pkg.runtime.Unknown', {
    typeMeta: { apiVersion, kind },
    raw: object,
    contentEncoding: '',
    contentType: '',
  });
  const raw = Buffer.concat([Buffer.from('k8s\0'), unknown]);
  const event = encode('apimachinery.pkg.apis.meta.v1.WatchEvent', { type: 'MODIFIED', object: { raw } });
  const prefix = Buffer.alloc(4);
  prefix.writeUInt32BE(event.length);
  return Buffer.concat([prefix, event]);
}

function inner(message: Message, key: string): Message {
  const value = message[key];
  return typeof value === 'object' && value !== null ? { ...value } : {};
}

describe("Kubernetes' own schemas", () => {
  test.each(KINDS)('$kind: identity and pruning are what the decoder says', (each) => {
    const { group, version, kind, kept } = each;
    const name = `api.${each.package}.${version}.${kind}`;
    const apiVersion = group === '' ? version : `${group}/${version}`;
    let cuts = 0;
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const random = randomOf(seed);
        const meta = randomMessage(messageType('apimachinery.pkg.apis.meta.v1.ObjectMeta'), random, 2);
        const message = { ...randomMessage(messageType(name), random, 4), metadata: meta };
        const object = encode(name, message);
        const view = new FrameView();
        const frame = frameOf(apiVersion, kind, object);
        protobufCodec.readWhole(frame, view);
        const whole = decode(name, object);
        const metadata = inner(whole, 'metadata');
        const { uid = '', name: own = '', namespace = '', resourceVersion = '' } = metadata;
        expect([view.uid(), view.name(), view.namespace(), view.resourceVersion()]).toEqual([
          uid,
          own,
          namespace,
          resourceVersion,
        ]);
        const expected: Message = { ...whole };
        if (kind === 'Secret') for (const part of ['data', 'stringData']) delete expected[part];
        if (kind === 'ConfigMap') for (const part of ['data', 'binaryData']) delete expected[part];
        const annotations = Object.entries(inner(metadata, 'annotations')).filter(
          ([key]) => kept === undefined || kept.some((allowed) => allowed === key),
        );
        delete metadata['managedFields'];
        delete metadata['annotations'];
        if (annotations.length > 0) metadata['annotations'] = Object.fromEntries(annotations);
        const pruner = prunerFor(EXPORTER, [], each, { apiVersion, kind }, 'protobuf');
        const pruned = pruner?.event('MODIFIED', view) ?? frame;
        if (pruned !== frame) cuts++;
        expect(decode('apimachinery.pkg.apis.meta.v1.WatchEvent', pruned.subarray(4))['type']).toBe('MODIFIED');
        const prunedView = new FrameView();
        protobufCodec.readWhole(pruned, prunedView);
        const result = decode(name, pruned.subarray(prunedView.objectStart, prunedView.objectEnd));
        expect(result).toEqual({ ...expected, metadata });
      }),
      { numRuns: 60 },
    );
    expect(cuts).toBeGreaterThan(5);
  });
});
