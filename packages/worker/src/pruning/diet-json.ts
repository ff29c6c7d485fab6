import { decodeString, type FrameView, JsonReader } from '../wire/index.ts';
import type { CutList } from './cut-list.ts';
import type { DietRules } from './diet-rules.ts';

const MANAGED_FIELDS = Buffer.from('managedFields');
const ANNOTATIONS = Buffer.from('annotations');

const reader = new JsonReader();

/** Lists what of the JSON object in `view` the rules leave out, commas included. Throws WireFormatError. */
export function cutJson(view: FrameView, rules: DietRules, cuts: CutList): void {
  cuts.clear();
  const { bytes } = view;
  if (rules.dataKeys.length === 0) {
    if (view.metadataEnd === 0) return;
    reader.reset(bytes, view.metadataStart, view.metadataEnd);
    cutMetadata(bytes, rules, cuts);
    return;
  }
  reader.reset(bytes, view.objectStart, view.objectEnd);
  if (!reader.object()) return;
  cutMembers(cuts, () => {
    if (rules.dataKeys.some((key) => reader.isKey(key))) return true;
    // Of several, the last one counts: the one that the view has.
    if (reader.position === view.metadataStart) cutMetadata(bytes, rules, cuts);
    else reader.skip();
    return false;
  });
}

function cutMetadata(bytes: Buffer, rules: DietRules, cuts: CutList): void {
  const { annotations } = rules;
  if (!reader.object()) return;
  cutMembers(cuts, () => {
    if (reader.isKey(MANAGED_FIELDS)) return true;
    if (annotations === undefined || !reader.isKey(ANNOTATIONS)) {
      reader.skip();
      return false;
    }
    if (annotations.keepsNone) return true;
    if (!reader.object()) return false;
    cutMembers(cuts, () => {
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
 * Walks the members of an object whose bracket is read. `isCut` looks at the member read last, and reads the value of
 * one that stays.
 */
function cutMembers(cuts: CutList, isCut: () => boolean): void {
  let keptEnd = reader.position;
  let cutStart = -1;
  let cutEnd = -1;
  while (reader.member()) {
    const start = reader.keyStart - 1;
    if (cutStart >= 0) cuts.push(cutStart, start);
    if (isCut()) {
      reader.skip();
      cutStart = start;
      cutEnd = reader.position;
    } else {
      cutStart = -1;
      keptEnd = reader.position;
    }
  }
  if (cutStart < 0) return;
  // The last member goes, and with it the comma behind the last one that stays.
  cuts.dropFrom(keptEnd);
  cuts.push(keptEnd, cutEnd);
}
