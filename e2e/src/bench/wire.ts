/** Just enough of the protobuf wire format (protobuf.dev/programming-guides/encoding) to make watch frames of pods. */

function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
  return [...bytes, rest];
}

/** A length-delimited field. */
export function field(id: number, content: Uint8Array | string): Buffer {
  const bytes = typeof content === 'string' ? Buffer.from(content) : content;
  return Buffer.concat([Buffer.from([...varint(id * 8 + 2), ...varint(bytes.length)]), bytes]);
}

const MAGIC = Buffer.from('k8s\0');
const TAIL = Buffer.from([0x1a, 0, 0x22, 0]);

function envelope(kind: string, message: Uint8Array): Buffer {
  const typeMeta = Buffer.concat([field(1, 'v1'), field(2, kind)]);
  return Buffer.concat([MAGIC, field(1, typeMeta), field(2, message), TAIL]);
}

export function podFrame(type: string, pod: Uint8Array): Buffer {
  const event = Buffer.concat([field(1, type), field(2, field(1, envelope('Pod', pod)))]);
  const prefix = Buffer.alloc(4);
  prefix.writeUInt32BE(event.length);
  return Buffer.concat([prefix, event]);
}

/** The bookmark that says where a watch is, and whether it closes the initial events. */
export function bookmark(resourceVersion: string, initialEventsEnd: boolean): Buffer {
  const annotation = field(12, Buffer.concat([field(1, 'k8s.io/initial-events-end'), field(2, 'true')]));
  const meta = [field(6, resourceVersion), ...(initialEventsEnd ? [annotation] : [])];
  return podFrame('BOOKMARK', field(1, Buffer.concat(meta)));
}

export function podList(resourceVersion: string, pods: readonly Uint8Array[]): Buffer {
  return envelope('PodList', Buffer.concat([field(1, field(2, resourceVersion)), ...pods.map((pod) => field(2, pod))]));
}

export interface PodIdentity {
  readonly uid: string;
  readonly name: string;
  readonly namespace: string;
  readonly resourceVersion: string;
}

/** A pod of exactly `size` bytes: metadata, one container with a status, and an annotation that fills it up. */
export function makePod({ uid, name, namespace, resourceVersion }: PodIdentity, size: number): Buffer {
  const container = Buffer.concat([field(1, 'app'), field(2, 'registry.example/app:1')]);
  const spec = Buffer.concat([field(2, container), field(3, 'Always'), field(10, 'fake-001')]);
  const ready = Buffer.concat([field(1, 'Ready'), field(2, 'True')]);
  const status = Buffer.concat([field(1, 'Running'), field(2, ready), field(6, '10.90.1.1')]);
  const label = field(11, Buffer.concat([field(1, 'app'), field(2, 'bench')]));
  const pod = (filling: string): Buffer => {
    const annotation = field(12, Buffer.concat([field(1, 'bench.shard.io/filling'), field(2, filling)]));
    const identity = [field(1, name), field(3, namespace), field(5, uid), field(6, resourceVersion)];
    const meta = Buffer.concat([...identity, label, annotation]);
    return Buffer.concat([field(1, meta), field(2, spec), field(3, status)]);
  };
  return pod('x'.repeat(Math.max(0, size - pod('').length - 6)));
}
