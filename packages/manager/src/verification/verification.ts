import { isCounted, type KindAnswer } from '@shard-controller/shared/contracts';
import { compareResourceVersion } from '@shard-controller/shared/kubernetes';
import { errorMessage } from '@shard-controller/shared/runtime';
import { type NamespaceShare, shareOf } from './namespace-share.ts';
import { type Finding, Judge, type VerificationResult } from './verification-judge.ts';
import {
  askKinds,
  askPositions,
  askScope,
  EarlierWorkerError,
  type QuestionContext,
  type Questions,
  type Side,
  type SideAnswer,
  type Tally,
  tallyOf,
} from './verification-questions.ts';

const RETRY_MS = 250;
/** Longest wait for a kind that cannot be compared, and its share of the time that there is. */
const PATIENCE_MS = 10_000;
const PATIENCE_SHARE = 1 / 3;

export type { VerificationResult };

/** The two sides of a migration. */
export interface VerificationTask extends Questions {
  readonly source: Side;
  readonly target: Side;
  /** Both run the same template, as far as is known. */
  readonly sameTemplate: boolean;
  /** The source is about to end, whether it has moved its slots or not. */
  readonly sourceEnds: boolean;
}

/**
 * Asks both sides at once for count and digest of the moving slots, kind by kind, at positions that they prove, and where
 * these differ the side that is ahead again as of the other's; then judges. A difference counts when it is seen three
 * times; no answer is asked again until the deadline. Never rejects.
 */
export async function verifyMigration(task: VerificationTask, context: QuestionContext): Promise<VerificationResult> {
  const { clock, signal } = context;
  const startedAt = clock.monotonic();
  const patienceMs = Math.min(PATIENCE_MS, (task.deadline - startedAt) * PATIENCE_SHARE);
  const { sameTemplate, sourceEnds } = task;
  const judge = new Judge({ sameTemplate, sourceEnds, patienceMs });
  let result: VerificationResult = { kind: 'unanswered', reason: 'the deadline passed before the first question' };
  for (let looks = 0; !signal.aborted && clock.monotonic() < task.deadline; looks++) {
    const found = await look(task, context, judge, { looks, startedAt });
    if (found.kind !== 'unanswered') return found;
    // A question for which no time was left says less than the answers before.
    if (looks === 0 || clock.monotonic() < task.deadline) result = found;
    await clock.sleep(RETRY_MS, signal);
  }
  return result;
}

async function look(
  task: VerificationTask,
  context: QuestionContext,
  judge: Judge,
  { looks, startedAt }: { readonly looks: number; readonly startedAt: number },
): Promise<VerificationResult> {
  try {
    const [source, target] = await Promise.all([
      askKinds(task, task.source, context),
      askKinds(task, task.target, context),
    ]);
    const comparison = new Comparison(task, context, looks > 0);
    const findings = await comparison.findings(source, target, (kind) => judge.isEqual(kind));
    const waitedMs = context.clock.monotonic() - startedAt;
    return judge.judge({ sourceSettled: source.settled, targetSettled: target.settled, findings }, waitedMs);
  } catch (error) {
    const reason = errorMessage(error);
    return { kind: error instanceof EarlierWorkerError ? 'unasked' : 'unanswered', reason };
  }
}

type Counted = Extract<KindAnswer, { count: number }>;

/** Kinds that both sides count, and where: at positions that may differ, of namespaces that may differ. */
interface Pair {
  readonly kind: string;
  readonly source: Counted;
  readonly target: Counted;
}

/** One look at all kinds. */
class Comparison {
  readonly #task: VerificationTask;
  readonly #context: QuestionContext;
  readonly #proven: boolean;
  readonly #findings = new Map<string, Finding>();

  constructor(task: VerificationTask, context: QuestionContext, proven: boolean) {
    this.#task = task;
    this.#context = context;
    this.#proven = proven;
  }

  async findings(
    source: SideAnswer,
    target: SideAnswer,
    isKnown: (kind: string) => boolean,
  ): Promise<ReadonlyMap<string, Finding>> {
    const pairs: Pair[] = [];
    for (const kind of new Set([...source.kinds.keys(), ...target.kinds.keys()])) {
      const finding = this.#alone(kind, source.kinds.get(kind), target.kinds.get(kind));
      if ('is' in finding) this.#findings.set(kind, finding);
      else if (!isKnown(kind)) pairs.push(finding);
    }
    await this.#compareSame(pairs.filter((pair) => pair.source.scope === pair.target.scope));
    const apart = Map.groupBy(
      pairs.filter((pair) => pair.source.scope !== pair.target.scope),
      (pair) => `${pair.source.scope} ${pair.target.scope}`,
    );
    for (const group of apart.values()) await this.#compareShared(group);
    return this.#findings;
  }

  #alone(kind: string, source: KindAnswer | undefined, target: KindAnswer | undefined): Finding | Pair {
    if (source === undefined) return { is: 'target-only' };
    if (target === undefined && isCounted(source)) return { is: 'source-only', objects: source.count };
    if (!isCounted(source)) return uncounted(longest(source, target), false);
    if (target === undefined || !isCounted(target)) return uncounted(target, source.count > 0);
    return { kind, source, target };
  }

  /** Kinds that both sides export of the same namespaces. */
  async #compareSame(pairs: readonly Pair[]): Promise<void> {
    const sourceAt = new Map<string, string>();
    const targetAt = new Map<string, string>();
    for (const { kind, source, target } of pairs) {
      const at = olderProven(source.at, target.at);
      if (source.at !== at) sourceAt.set(kind, at);
      if (target.at !== at) targetAt.set(kind, at);
    }
    const [source, target] = await this.#askBoth({ at: sourceAt }, { at: targetAt });
    for (const pair of pairs) {
      const { kind } = pair;
      const at = olderProven(pair.source.at, pair.target.at);
      const ofSource = source.get(kind) ?? tallyOf(pair.source, at);
      const ofTarget = target.get(kind) ?? tallyOf(pair.target, at);
      this.#findings.set(kind, compared(kind, at, ofSource, ofTarget, false));
    }
  }

  /** Kinds that the two sides export of other namespaces: of each side what the other one exports, too. */
  async #compareShared(pairs: readonly Pair[]): Promise<void> {
    const [first] = pairs;
    if (first === undefined) return;
    const { source, target } = this.#task;
    const [ofSource, ofTarget] = await Promise.all([
      askScope(this.#task, source, first.source.scope, this.#context),
      askScope(this.#task, target, first.target.scope, this.#context),
    ]);
    const shares = { source: shareOf(ofSource, ofTarget), target: shareOf(ofTarget, ofSource) };
    const at = new Map<string, string>();
    for (const pair of pairs) {
      const position = olderProven(pair.source.at, pair.target.at);
      if (shares.source === undefined || shares.target === undefined) {
        this.#findings.set(pair.kind, { is: 'source-only', objects: pair.source.count });
      } else if (position === '') this.#findings.set(pair.kind, { is: 'equal', objects: 0, partly: true });
      else at.set(pair.kind, position);
    }
    const [bySource, byTarget] = await this.#askBoth({ at, share: shares.source }, { at, share: shares.target });
    for (const [kind, position] of at) {
      const finding = compared(kind, position, missing(bySource.get(kind)), missing(byTarget.get(kind)), true);
      this.#findings.set(kind, finding);
    }
  }

  #askBoth(source: Asked, target: Asked): Promise<[ReadonlyMap<string, Tally>, ReadonlyMap<string, Tally>]> {
    const proven = this.#proven;
    return Promise.all([
      askPositions(this.#task, this.#task.source, { ...source, proven }, this.#context),
      askPositions(this.#task, this.#task.target, { ...target, proven }, this.#context),
    ]);
  }
}

interface Asked {
  readonly at: ReadonlyMap<string, string>;
  readonly share?: NamespaceShare | undefined;
}

const missing = (tally: Tally | undefined): Tally => tally ?? { problem: 'no answer', sinceMs: 0 };

/** The one of two problems that has been there for longer. */
function longest(a: Problem, b: KindAnswer | undefined): Problem {
  return b === undefined || isCounted(b) || b.sinceMs < a.sinceMs ? a : b;
}

type Problem = { readonly problem: string; readonly sinceMs: number; readonly known?: boolean | undefined };

function uncounted(why: Problem | undefined, atTarget: boolean): Finding {
  const { problem = 'no answer', sinceMs = 0, known = false } = why ?? {};
  return { is: 'uncounted', problem, sinceMs, known, atTarget };
}

function compared(kind: string, at: string, source: Tally, target: Tally, partly: boolean): Finding {
  if (source.problem !== undefined) return uncounted(source, false);
  if (target.problem !== undefined) return uncounted(target, source.count > 0);
  if (source.count === target.count && source.digest === target.digest) {
    return { is: 'equal', objects: source.count, partly };
  }
  const text = ({ count, digest }: typeof source): string => `${count} (${digest.toString(16).padStart(16, '0')})`;
  return {
    is: 'different',
    text: `${kind} at ${at}: source has ${text(source)} objects, target ${text(target)}`,
  };
}

/** An empty position is unproved. */
function olderProven(a: string, b: string): string {
  if (a === '' || b === '') return a === '' ? b : a;
  return compareResourceVersion(a, b) <= 0 ? a : b;
}
