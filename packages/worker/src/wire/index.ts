export {
  codecOf,
  envelopeHeadOf,
  type FrameCodec,
  jsonCodec,
  type ListPage,
  type ObjectIdentity,
  type ObjectKind,
} from './frame-codec.ts';
export { FrameSplitter } from './frame-splitter.ts';
export { readFrames, SilentWatchError } from './frame-stream.ts';
export { FrameView, type WatchEventType, type WireEncoding } from './frame-view.ts';
export { readJsonMeta, readJsonStatus } from './json/frame.ts';
export { eachElement, eachMember, isKey } from './json/members.ts';
export { decodeString, JsonReader } from './json/reader.ts';
export { readEnvelope, readProtobufMeta, readProtobufStatus, type StatusSummary } from './protobuf/frame.ts';
export { ProtobufReader, WireFormatError } from './protobuf/reader.ts';
export { blockHead, openEvent, putVarint, varintSize } from './protobuf/writer.ts';
export {
  MAX_RESOURCE_VERSION,
  isBehind,
  isNewer,
  isWellFormedVersion,
  newerOf,
  MIN_RESOURCE_VERSION,
} from './version-order.ts';
