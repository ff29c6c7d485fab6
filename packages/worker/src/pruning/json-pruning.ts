import { decodeString, type FrameView, JsonReader } from '../wire/index.ts';
import type { PrunedParts } from './pruned-parts.ts';
import type { PruningRules } from './pruning-rules.ts';

const MANAGED_FIELDS = Buffer.from('managedFields');
const ANNOTATIONS = Buffer.from('annotations');

const reader = new JsonReader();

/** Lists what of the JSON object in `view` the rules leave out, commas included. Throws WireFormatError. */
export function pruneJson(view: FrameView, rules: PruningRules, parts: PrunedParts): void {
  parts.clear();
  const { bytes } = view;
  if (rules.dataKeys.length === 0) {
    if (view.metadataEnd === 0) return;
    reader.reset(bytes, view.metadataStart, view.metadataEnd);
    pruneMetadata(bytes, rules, parts);
    return;
  }
  reader.reset(bytes, view.objectStart, view.objectEnd);
  if (!reader.object()) return;
  pruneMembers(parts, () => {
    if (rules.dataKeys.some((key) => reader.isKey(key))) return true;
    // Of several, the last one counts: the one that the view has.
    if (reader.position === view.metadataStart) pruneMetadata(bytes, rules, parts);
    else reader.skip();
    return false;
  });
}

function pruneMetadata(bytes: Buffer, rules: PruningRules, parts: PrunedParts): void {
  const { annotations } = rules;
  if (!reader.object()) return;
  pruneMembers(parts, () => {
    if (reader.isKey(MANAGED_FIELDS)) return true;
    if (annotations === undefined || !reader.isKey(ANNOTATIONS)) {
      reader.skip();
      return false;
    }
    if (annotations.keepsNone) return true;
    if (!reader.object()) return false;
    pruneMembers(parts, () => {
      const { keyStart, keyEnd, escaped } = reader;
      const key = escaped ? Buffer.from(decodeString(bytes, keyStart, keyEnd)) : undefined;
      const stays =
        key === undefined ? annotations.keeps(bytes, keyStart, keyEnd) : annotations.keeps(key, 0, key.length);
      if (stays) reader.skip();
      return !stays;
    });
    return false;
  });
}

/**
 * Walks the members of an object whose bracket is read. `isPruned` looks at the member read last, and reads the value of
 * one that stays.
 */
function pruneMembers(parts: PrunedParts, isPruned: () => boolean): void {
  let keptEnd = reader.position;
  let prunedStart = -1;
  let prunedEnd = -1;
  while (reader.member()) {
    const start = reader.keyStart - 1;
    if (prunedStart >= 0) parts.push(prunedStart, start);
    if (isPruned()) {
      reader.skip();
      prunedStart = start;
      prunedEnd = reader.position;
    } else {
      prunedStart = -1;
      keptEnd = reader.position;
    }
  }
  if (prunedStart < 0) return;
  // The last member goes, and with it the comma behind the last one that stays.
  parts.dropFrom(keptEnd);
  parts.push(keptEnd, prunedEnd);
}
