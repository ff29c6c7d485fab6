import { createHash } from 'node:crypto';

/** resourceVersions of this load all have ten digits, so that a frame can be patched in place and found by its length. */
export const FIRST_VERSION = 1_000_000_000;

const UID_LENGTH = 36;
const NAME = 'pod-0000000';
const NAMESPACE = 'ns-000';
const NAMESPACES = 200;

type EventType = 'ADDED' | 'MODIFIED' | 'BOOKMARK';

/** Pods in protobuf watch frames of one size, made by patching a template: cheaper to send than they are to read. */
export class SyntheticPods {
  readonly count: number;
  readonly uids: readonly string[];
  readonly #frames: Readonly<Record<'ADDED' | 'MODIFIED', Template>>;

  /** @param frameBytes size of a frame with its length prefix, at least 200. */
  constructor(count: number, frameBytes: number) {
    this.count = count;
    this.uids = Array.from({ length: count }, (_, i) => uidOf(i));
    this.#frames = { ADDED: template('ADDED', frameBytes), MODIFIED: template('MODIFIED', frameBytes) };
  }

  frame(type: 'ADDED' | 'MODIFIED', index: number, version: number): Buffer {
    const { bytes, uid, name, namespace, resourceVersion } = this.#frames[type];
    const frame = Buffer.from(bytes);
    frame.write(this.uids[index] ?? '', uid, 'latin1');
    frame.write(String(index).padStart(7, '0'), name + 4, 'latin1');
    frame.write(String(index % NAMESPACES).padStart(3, '0'), namespace + 3, 'latin1');
    frame.write(String(version), resourceVersion, 'latin1');
    return frame;
  }
}

interface Template {
  readonly bytes: Buffer;
  /** Where the values begin. */
  readonly uid: number;
  readonly name: number;
  readonly namespace: number;
  readonly resourceVersion: number;
}

function template(type: EventType, frameBytes: number): Template {
  const uid = 'u'.repeat(UID_LENGTH);
  const version = String(FIRST_VERSION);
  const build = (ballast: number): Buffer => {
    const meta = [
      field(1, NAME),
      field(2, ''),
      field(3, NAMESPACE),
      field(4, ''),
      field(5, uid),
      field(6, version),
      Buffer.from([7 * 8, 1]),
    ];
    return watchFrame(type, Buffer.concat([field(1, Buffer.concat(meta)), field(2, Buffer.alloc(ballast, 0x41))]));
  };
  const bytes = build(Math.max(0, frameBytes - build(0).length));
  const at = (text: string): number => bytes.indexOf(text);
  return { bytes, uid: at(uid), name: at(NAME), namespace: at(NAMESPACE), resourceVersion: at(version) };
}

/** A bookmark; with `initialEnd` the one that closes the initial events of a WatchList (KEP-3157). */
export function bookmarkFrame(version: number, initialEnd = false): Buffer {
  const annotation = field(12, Buffer.concat([field(1, 'k8s.io/initial-events-end'), field(2, 'true')]));
  const meta = [
    field(1, ''),
    field(3, ''),
    field(5, ''),
    field(6, String(version)),
    ...(initialEnd ? [annotation] : []),
  ];
  return watchFrame('BOOKMARK', field(1, Buffer.concat(meta)));
}

/** The first page of a list of `count` pods, which has the pod `uid` alone; its version is the list's. */
export function podListBody(version: number, count: number, uid: string | undefined): Buffer {
  const meta = Buffer.concat([
    field(1, ''),
    field(2, String(version)),
    ...(count > 1 ? [field(3, 'more'), Buffer.from([4 * 8, ...varint(count - 1)])] : []),
  ]);
  const items = [];
  if (uid !== undefined) {
    const fields = [field(1, NAME), field(3, 'ns-000'), field(5, uid), field(6, String(FIRST_VERSION))];
    items.push(field(2, field(1, Buffer.concat(fields))));
  }
  return envelope('PodList', Buffer.concat([field(1, meta), ...items]));
}

/** apimachinery's `WatchEvent` behind four bytes of length. */
function watchFrame(type: EventType, pod: Buffer): Buffer {
  const event = Buffer.concat([field(1, type), field(2, field(1, envelope('Pod', pod)))]);
  const prefix = Buffer.alloc(4);
  prefix.writeUInt32BE(event.length);
  return Buffer.concat([prefix, event]);
}

function envelope(kind: string, message: Buffer): Buffer {
  const typeMeta = Buffer.concat([field(1, 'v1'), field(2, kind)]);
  return Buffer.concat([Buffer.from('k8s\0'), field(1, typeMeta), field(2, message), Buffer.from([0x1a, 0, 0x22, 0])]);
}

function field(id: number, content: Buffer | string): Buffer {
  const bytes = typeof content === 'string' ? Buffer.from(content) : content;
  return Buffer.concat([Buffer.from([id * 8 + 2, ...varint(bytes.length)]), bytes]);
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
  return [...bytes, rest];
}

/** Spread over the hash space as real uids are, and the same in every run. */
function uidOf(index: number): string {
  const hex = createHash('md5').update(`pod ${index}`).digest('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20)}`;
}
