/** What one look has found of one kind. */
export type Finding =
  /** `partly`: of the namespaces that both sides export. */
  | { readonly is: 'equal'; readonly objects: number; readonly partly: boolean }
  | { readonly is: 'different'; readonly text: string }
  /** `known`: waiting does not help. `atTarget`: the source counts objects of it, so that the target may be at fault. */
  | {
      readonly is: 'uncounted';
      readonly problem: string;
      readonly sinceMs: number;
      readonly known: boolean;
      readonly atTarget: boolean;
    }
  /** Nothing of it is exported by the target, and so many moving objects by the source. */
  | { readonly is: 'source-only'; readonly objects: number }
  | { readonly is: 'target-only' };

/** One look at both sides. */
export interface Look {
  readonly sourceSettled: boolean;
  readonly targetSettled: boolean;
  readonly findings: ReadonlyMap<string, Finding>;
}

/** What was not compared, by name of the kind, and why. */
export interface LeftOut {
  readonly sourceOnly: readonly string[];
  readonly targetOnly: readonly string[];
  /** Exported of other namespaces: what both export was compared. */
  readonly partly: readonly string[];
  readonly uncounted: readonly { readonly kind: string; readonly problem: string }[];
  /** The source had not settled. */
  readonly sourceUnsettled: boolean;
}

export type VerificationResult =
  | { readonly kind: 'verified'; readonly kinds: number; readonly objects: number; readonly leftOut: LeftOut }
  /** A worker of an earlier version cannot be asked. */
  | { readonly kind: 'unasked'; readonly reason: string }
  | { readonly kind: 'different'; readonly reason: string }
  | { readonly kind: 'unanswered'; readonly reason: string };

export interface JudgeOptions {
  /** Both sides run the same template: a kind that one of them lacks may be about to come. */
  readonly sameTemplate: boolean;
  /** The source is about to end: a target that lacks something is better than none. */
  readonly sourceEnds: boolean;
  /** What cannot be compared for so long, while other kinds were, is gone without. ms. */
  readonly patienceMs: number;
}

/** A difference, or a kind that only the source exports, counts when it was seen so often. */
const LOOKS = 3;

/**
 * Judges a migration kind by kind over several looks. What both sides export has to be equal once; what only one exports
 * blocks nothing; what cannot be counted blocks for as long as the patience lasts, and what only the target
 * cannot count by the same template keeps the slots where they are. Without a single kind that was
 * compared nothing is verified, unless the source has nothing to lose, or exports something else by another template.
 */
export class Judge {
  readonly #options: JudgeOptions;
  readonly #equal = new Map<string, Extract<Finding, { is: 'equal' }>>();
  readonly #seen = new Map<string, number>();

  constructor(options: JudgeOptions) {
    this.#options = options;
  }

  /** Whether the kind was found equal before: it need not be asked for again. */
  isEqual(kind: string): boolean {
    return this.#equal.has(kind);
  }

  /** @param waitedMs since the first question. */
  judge(look: Look, waitedMs: number): VerificationResult {
    for (const [kind, finding] of look.findings) {
      if (finding.is === 'equal') this.#equal.set(kind, finding);
      if (finding.is === 'different') {
        if (this.#looks(kind) >= LOOKS) return { kind: 'different', reason: finding.text };
      } else if (finding.is === 'source-only') this.#looks(kind);
      else this.#seen.delete(kind);
    }
    const isPatient = waitedMs < this.#options.patienceMs;
    if (!look.targetSettled) return unanswered('the target has yet to open its watches');
    if (!look.sourceSettled && isPatient) return unanswered('the source has yet to open its watches');
    for (const [kind, finding] of look.findings) {
      const why = this.#awaited(kind, finding, isPatient);
      if (why !== undefined) return unanswered(`${kind}: ${why}`);
    }
    return this.#conclude(look);
  }

  #looks(kind: string): number {
    const looks = (this.#seen.get(kind) ?? 0) + 1;
    this.#seen.set(kind, looks);
    return looks;
  }

  /** Why the kind is still waited for. */
  #awaited(kind: string, finding: Finding, isPatient: boolean): string | undefined {
    if (this.isEqual(kind)) return undefined;
    switch (finding.is) {
      case 'equal':
      case 'target-only':
        return undefined;
      case 'different':
        return finding.text;
      case 'uncounted': {
        const { sameTemplate, sourceEnds, patienceMs } = this.#options;
        // What the source shows well is not given to a target that alone cannot, by the same template.
        const isAtFault = finding.atTarget && sameTemplate && !sourceEnds;
        const isAwaited = isPatient && !finding.known && finding.sinceMs < patienceMs;
        return isAtFault || isAwaited ? finding.problem : undefined;
      }
      case 'source-only': {
        if (finding.objects === 0) return undefined;
        const isAwaited = this.#options.sameTemplate ? isPatient : (this.#seen.get(kind) ?? 0) < LOOKS;
        return isAwaited ? 'the target does not export it' : undefined;
      }
    }
    return finding satisfies never;
  }

  #conclude({ findings, sourceSettled }: Look): VerificationResult {
    const open = [...findings].filter(([kind]) => !this.isEqual(kind));
    const named = (is: Finding['is']): string[] => open.flatMap(([kind, finding]) => (finding.is === is ? [kind] : []));
    const uncounted = open.flatMap(([kind, f]) => (f.is === 'uncounted' ? [{ kind, problem: f.problem }] : []));
    const isLost = open.some(([, finding]) => finding.is === 'source-only' && finding.objects > 0);
    if (this.#equal.size === 0 && (uncounted.length > 0 || (isLost && this.#options.sameTemplate))) {
      const [first] = uncounted;
      return unanswered(
        first === undefined
          ? 'the two sides export no kind in common'
          : `${first.kind}: ${first.problem}; no kind was compared`,
      );
    }
    const equal = [...this.#equal];
    return {
      kind: 'verified',
      kinds: equal.length,
      objects: equal.reduce((sum, [, { objects }]) => sum + objects, 0),
      leftOut: {
        sourceOnly: named('source-only'),
        targetOnly: named('target-only'),
        partly: equal.flatMap(([kind, { partly }]) => (partly ? [kind] : [])),
        uncounted,
        sourceUnsettled: !sourceSettled,
      },
    };
  }
}

const unanswered = (reason: string): VerificationResult => ({ kind: 'unanswered', reason });
