import { z } from 'zod';
import type { StoredDecision } from './decision.ts';

/** Format of the messages of a decision that does not fit into one. */
export const DECISION_PART = 'shard.decision.v2';

/** Characters of one part: at most three bytes each, or two where JSON escapes them. */
const PART_LENGTH = 20_000;
const MAX_PARTS = 1_000;

/**
 * One of several messages that hold a decision together: its JSON, cut. They follow each other in the log; the decision
 * counts from the last one on, whose sequence is its epoch. Parts without the rest say nothing: their writer died,
 * or another manager came between.
 */
export const decisionPartSchema = z.object({
  v: z.literal(DECISION_PART),
  id: z.string().min(1).max(64),
  /** Id of the decision. */
  decision: z.string().min(1).max(64),
  /** From 1 to `parts`. */
  part: z.int().min(1).max(MAX_PARTS),
  parts: z.int().min(1).max(MAX_PARTS),
  text: z.string().max(PART_LENGTH),
});

export type DecisionPart = z.infer<typeof decisionPartSchema>;

/** A decision of which the first parts have been read. */
export interface OpenDecision {
  readonly decision: string;
  readonly parts: number;
  readonly texts: readonly string[];
}

export function inParts(stored: StoredDecision): DecisionPart[] {
  const text = JSON.stringify(stored);
  const parts = Math.ceil(text.length / PART_LENGTH);
  return Array.from({ length: parts }, (_, i) => ({
    v: DECISION_PART,
    id: `${stored.id}.${i + 1}`,
    decision: stored.id,
    part: i + 1,
    parts,
    text: text.slice(i * PART_LENGTH, (i + 1) * PART_LENGTH),
  }));
}

/** The decision with one more part; undefined for a part that does not follow. */
export function withPart(open: OpenDecision | undefined, part: DecisionPart): OpenDecision | undefined {
  const { decision, parts, text } = part;
  if (part.part === 1) return { decision, parts, texts: [text] };
  const follows = open?.decision === decision && open.parts === parts && open.texts.length === part.part - 1;
  return follows ? { ...open, texts: [...open.texts, text] } : undefined;
}

/** The JSON of a decision whose parts are all there. */
export function wholeText({ parts, texts }: OpenDecision): string | undefined {
  return texts.length === parts ? texts.join('') : undefined;
}
