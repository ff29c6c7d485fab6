import protobuf from 'protobufjs';

/**
 * The messages around every object and three kinds of objects, as far as the walkers look into them (field numbers:
 * apimachinery and api, generated.proto). What they do not look into is opaque here, and there are fields that no
 * version of Kubernetes has, which have to survive all the same.
 */
const SCHEMA = `
syntax = "proto2";
message Time { optional int64 seconds = 1; optional int32 nanos = 2; }
message FieldsV1 { optional bytes Raw = 1; }
message ManagedFieldsEntry {
  optional string manager = 1; optional string operation = 2; optional string apiVersion = 3;
  optional Time time = 4; optional string fieldsType = 6; optional FieldsV1 fieldsV1 = 7; optional string subresource = 8;
}
message OwnerReference { optional string kind = 1; optional string name = 3; optional string uid = 4; }
message ObjectMeta {
  optional string name = 1; optional string generateName = 2; optional string namespace = 3;
  optional string selfLink = 4; optional string uid = 5; optional string resourceVersion = 6;
  optional int64 generation = 7; optional Time creationTimestamp = 8; optional Time deletionTimestamp = 9;
  optional int64 deletionGracePeriodSeconds = 10; map<string, string> labels = 11;
  map<string, string> annotations = 12; repeated OwnerReference ownerReferences = 13; repeated string finalizers = 14;
  repeated ManagedFieldsEntry managedFields = 17;
  optional fixed64 newNumber = 1001; optional fixed32 newSmallNumber = 1002; optional bytes newText = 20000;
}
message Pod {
  optional ObjectMeta metadata = 1; optional bytes spec = 2; optional bytes status = 3; optional bytes newPart = 500;
}
message Secret {
  optional ObjectMeta metadata = 1; map<string, bytes> data = 2; optional string type = 3;
  map<string, string> stringData = 4; optional bool immutable = 5; optional bytes newPart = 500;
}
message ConfigMap {
  optional ObjectMeta metadata = 1; map<string, string> data = 2; map<string, bytes> binaryData = 3;
  optional bool immutable = 4; optional bytes newPart = 500;
}
message TypeMeta { optional string apiVersion = 1; optional string kind = 2; }
message Unknown {
  optional TypeMeta typeMeta = 1; optional bytes raw = 2; optional string contentEncoding = 3;
  optional string contentType = 4;
}
message RawExtension { optional bytes raw = 1; }
message WatchEvent { optional string type = 1; optional RawExtension object = 2; }
`;

const root = protobuf.parse(SCHEMA, { keepCase: true }).root;

export type SchemaKind = 'Pod' | 'Secret' | 'ConfigMap';

/** A message as protobufjs takes it. */
export type Fields = Readonly<Record<string, unknown>>;

function encode(type: string, fields: Fields): Buffer {
  return Buffer.from(root.lookupType(type).encode(fields).finish());
}

/** The object without envelope. */
export function encodeObject(kind: SchemaKind, fields: Fields): Buffer {
  return encode(kind, fields);
}

/** A whole watch frame, laid out as kube-apiserver does. */
export function encodeFrame(type: string, kind: SchemaKind, object: Uint8Array): Buffer {
  const unknown = { typeMeta: { apiVersion: 'v1', kind }, raw: object, contentEncoding: '', contentType: '' };
  const raw = Buffer.concat([Buffer.from('k8s\0'), encode('Unknown', unknown)]);
  const event = encode('WatchEvent', { type, object: { raw } });
  const prefix = Buffer.alloc(4);
  prefix.writeUInt32BE(event.length);
  return Buffer.concat([prefix, event]);
}

/** What a client finds in a watch frame. Throws when it is not one. */
export function decodeFrame(frame: Buffer): { readonly type: string; readonly kind: string; readonly object: Fields } {
  if (frame.readUInt32BE(0) !== frame.length - 4) throw new Error('the length prefix is wrong');
  const { type, object } = decode('WatchEvent', frame.subarray(4));
  const raw = bytesOf(recordOf(object)['raw']);
  if (raw.subarray(0, 4).toString('latin1') !== 'k8s\0') throw new Error('the envelope is missing');
  const unknown = decode('Unknown', raw.subarray(4));
  const kind = String(recordOf(unknown['typeMeta'])['kind']);
  return { type: String(type), kind, object: decode(kind, bytesOf(unknown['raw'])) };
}

function decode(type: string, bytes: Uint8Array): Fields {
  const schema = root.lookupType(type);
  return schema.toObject(schema.decode(bytes), { bytes: Buffer, longs: String });
}

function recordOf(value: unknown): Fields {
  if (typeof value !== 'object' || value === null) throw new Error('a message was expected');
  return { ...value };
}

function bytesOf(value: unknown): Buffer {
  if (!(value instanceof Uint8Array)) throw new Error('bytes were expected');
  return Buffer.from(value);
}
