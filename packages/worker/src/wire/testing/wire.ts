import { codecOf, type ObjectKind } from '../frame-codec.ts';
import { FrameView, type WatchEventType } from '../frame-view.ts';

/** Hand-written encoders for tests: independent of the code under test. */

export const POD: ObjectKind = { apiVersion: 'v1', kind: 'Pod' };
export const WIDGET: ObjectKind = { apiVersion: 'example.com/v1', kind: 'Widget' };

export interface TestObject {
  readonly uid: string;
  readonly name: string;
  readonly namespace?: string;
  readonly version: string;
  /** Bytes of body behind the metadata. */
  readonly ballast?: number;
  readonly labels?: Readonly<Record<string, string>>;
}

function number(value: number): number[] {
  const bytes = [];
  let rest = value;
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
  return [...bytes, rest];
}

function field(id: number, content: Uint8Array | string): Buffer {
  const bytes = Buffer.from(content as string);
  return Buffer.concat([Buffer.from([...number(id * 8 + 2), ...number(bytes.length)]), bytes]);
}

/** A Kubernetes object in protobuf, fields in the order in which kube-apiserver writes them. */
export function protobufObject(object: TestObject): Buffer {
  const labels = Object.entries(object.labels ?? {}).map(([key, value]) =>
    field(11, Buffer.concat([field(1, key), field(2, value)])),
  );
  const meta = Buffer.concat([
    field(1, object.name),
    field(2, ''),
    field(3, object.namespace ?? ''),
    field(4, ''),
    field(5, object.uid),
    field(6, object.version),
    Buffer.from([7 * 8, 1]),
    ...labels,
  ]);
  return Buffer.concat([field(1, meta), field(2, Buffer.alloc(object.ballast ?? 0, 0x41))]);
}

export function protobufFrame(type: string, object: Uint8Array, kind: ObjectKind = POD): Buffer {
  const unknown = Buffer.concat([
    Buffer.from('k8s\0'),
    field(1, Buffer.concat([field(1, kind.apiVersion), field(2, kind.kind)])),
    field(2, object),
    Buffer.from([0x1a, 0, 0x22, 0]),
  ]);
  const event = Buffer.concat([field(1, type), field(2, field(1, unknown))]);
  const prefix = Buffer.alloc(4);
  prefix.writeUInt32BE(event.length);
  return Buffer.concat([prefix, event]);
}

function jsonObject(object: TestObject, kind: ObjectKind = WIDGET): string {
  const { uid, name, namespace, version: resourceVersion, labels } = object;
  return JSON.stringify({
    apiVersion: kind.apiVersion,
    kind: kind.kind,
    metadata: { labels, name, namespace, resourceVersion, uid },
    spec: { text: '}{"metadata":{"uid":"not this one"}}\\', ballast: 'A'.repeat(object.ballast ?? 0) },
  });
}

export function jsonFrame(type: string, object: TestObject): Buffer {
  return Buffer.from(`{"type":"${type}","object":${jsonObject(object)}}\n`);
}

/** A bookmark as kube-apiserver writes it, in protobuf. */
export function protobufBookmark(version: string, initialEventsEnd = false): Buffer {
  const annotation = field(12, Buffer.concat([field(1, 'k8s.io/initial-events-end'), field(2, 'true')]));
  const meta = [field(1, ''), field(3, ''), field(5, ''), field(6, version)];
  if (initialEventsEnd) meta.push(annotation);
  return protobufFrame('BOOKMARK', field(1, Buffer.concat(meta)));
}

/** A list body; `remaining` objects follow on further pages. */
export function protobufList(version: string, objects: readonly Uint8Array[], remaining = 0): Buffer {
  const meta = [field(1, ''), field(2, version)];
  if (remaining > 0) meta.push(field(3, 'more'), Buffer.from([4 * 8, ...number(remaining)]));
  const message = Buffer.concat([field(1, Buffer.concat(meta)), ...objects.map((object) => field(2, object))]);
  const typeMeta = Buffer.concat([field(1, 'v1'), field(2, 'PodList')]);
  return Buffer.concat([Buffer.from('k8s\0'), field(1, typeMeta), field(2, message), Buffer.from([0x1a, 0, 0x22, 0])]);
}

/** What a client would see: type, uid and resourceVersion of each event in a protobuf stream. */
export function readEvents(bytes: Buffer): { type: WatchEventType; uid: string; version: string }[] {
  const codec = codecOf('application/vnd.kubernetes.protobuf');
  const events: { type: WatchEventType; uid: string; version: string }[] = [];
  const view = new FrameView();
  for (let at = 0; at < bytes.length; ) {
    const end = at + 4 + bytes.readUInt32BE(at);
    codec.readFrame(bytes, at + 4, end, view);
    events.push({ type: view.type, uid: view.uid(), version: view.resourceVersion() });
    at = end;
  }
  return events;
}
