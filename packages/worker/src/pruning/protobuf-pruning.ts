import { type FrameView, ProtobufReader } from '../wire/index.ts';
import type { PrunedParts } from './pruned-parts.ts';
import type { PruningRules } from './pruning-rules.ts';

/** ObjectMeta (apimachinery: apis/meta/v1/generated.proto). */
const ANNOTATIONS = 12;
const MANAGED_FIELDS = 17;

const reader = new ProtobufReader();
const entry = new ProtobufReader();

/**
 * Lists what of the object in `view` the rules leave out. Every part is a whole field, so that only the lengths of
 * what is around it change. Returns the bytes left out of the metadata. Throws WireFormatError.
 */
export function pruneProtobuf(view: FrameView, rules: PruningRules, parts: PrunedParts): number {
  parts.clear();
  const { bytes } = view;
  reader.reset(bytes, view.metadataStart, view.metadataEnd);
  for (let start = reader.position; reader.next(); start = reader.position) {
    const { field } = reader;
    reader.skip();
    if (field === MANAGED_FIELDS) parts.push(start, reader.position);
    else if (field === ANNOTATIONS && rules.annotations !== undefined) {
      if (!keepsEntry(view, start, reader.position, rules)) parts.push(start, reader.position);
    }
  }
  const ofMetadata = parts.bytes;
  if (rules.dataFields.length > 0) {
    reader.reset(bytes, view.metadataEnd, view.objectEnd);
    for (let start = reader.position; reader.next(); start = reader.position) {
      const { field } = reader;
      reader.skip();
      if (rules.dataFields.includes(field)) parts.push(start, reader.position);
    }
  }
  return ofMetadata;
}

/** Whether the annotation in the field `bytes[start, end)`, a map entry `{key=1, value=2}`, stays. */
function keepsEntry({ bytes }: FrameView, start: number, end: number, rules: PruningRules): boolean {
  if (rules.annotations === undefined) return true;
  if (rules.annotations.keepsNone) return false;
  entry.reset(bytes, start, end);
  entry.next();
  entry.block();
  while (entry.next()) {
    if (entry.field === 1) {
      const stop = entry.block();
      return rules.annotations.keeps(bytes, entry.position, stop);
    }
    entry.skip();
  }
  return rules.annotations.keeps(bytes, end, end);
}
