import {
  type KindAnswer,
  MAX_KINDS_ASKED,
  MAX_NAMESPACES_ASKED,
  type VerifyReply,
  type VerifyRequest,
} from '@shard-controller/shared/contracts';
import { compareResourceVersion } from '@shard-controller/shared/kubernetes';
import type { Clock } from '@shard-controller/shared/runtime';
import type { SlotCensus } from '../feed/books/index.ts';
import type { Selection } from '../upstream/index.ts';
import { type ExportedKind, exportedKinds, holdsNamespace, scopeText } from './exported-kinds.ts';

/** A feed as verification sees it. */
export interface VerifiableFeed {
  readonly name: string;
  readonly selection: Selection;
  /** Why it cannot follow the API server, while it cannot. */
  readonly problem: string | undefined;
  /** Why it is judged to be broken, so that it is not even asked. */
  readonly unavailable?: string | undefined;
  /** Since when it cannot follow the API server, while it cannot; monotonic ms. */
  readonly problemSince?: number | undefined;
  /** Whether it is known to miss nothing up to `version`. */
  hasReached(version: string): boolean;
  /** Objects of `slots` that are there right now. Throws when the feed does not follow the API server. */
  count(slots: ReadonlySet<number>): number;
  /**
   * Resolves with a resourceVersion below which the feed misses nothing: `version` where that is known already, else
   * the position of a consistent read. Throws when the feed does not get there before `signal` aborts.
   */
  prove(signal: AbortSignal, version?: string): Promise<string>;
  /**
   * Objects of `slots` that the exporter was given, as of `version`; with `namespaces` those of these. Throws when that
   * is too long ago or ahead.
   */
  census(slots: ReadonlySet<number>, version: string, namespaces?: ReadonlySet<string>): SlotCensus;
}

/** What the exporter watches right now. */
export interface Exported {
  /** Every feed that it has asked for and not left, also those that the API server refuses. */
  readonly feeds: readonly VerifiableFeed[];
  /** It is not about to open further watches. */
  readonly settled: boolean;
}

type Kind = ExportedKind<VerifiableFeed>;

/** A kind that has not proved its position by then is not waited for any longer: the others can be answered. ms. */
const PROOF_LIMIT_MS = 2_500;
/** Watches of one answer, as far as there are several kinds: each may have to be proved by a read of its own. */
const MAX_FEEDS_ASKED = 500;
const MAX_PROBLEM = 120;

/** Answers verification requests, and remembers since when a kind could not be counted. */
export class Verifier {
  readonly #clock: Pick<Clock, 'monotonic'>;
  /** By name of the kind; monotonic ms. */
  readonly #failingSince = new Map<string, number>();

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock;
  }

  /**
   * Without positions each kind answers as of one that it proves; one that has nothing in the slots says so without
   * proof. A kind that cannot be counted says why, and for how long that has been so.
   */
  async answer(
    request: VerifyRequest,
    slots: ReadonlySet<number>,
    { feeds, settled }: Exported,
    signal: AbortSignal,
  ): Promise<VerifyReply> {
    const all = exportedKinds(feeds);
    const names = new Set(all.map(({ name }) => name));
    for (const name of this.#failingSince.keys()) if (!names.has(name)) this.#failingSince.delete(name);
    const { v, migration, question } = request;
    const reply = { v, migration, settled, kinds: [] };
    switch (question.ask) {
      case 'kinds': {
        const rest = all.filter(({ name }) => name > (question.after ?? ''));
        const page = pageOf(rest);
        const kinds = await Promise.all(page.map((kind) => this.#prove(kind, slots, signal)));
        const next = page.at(-1)?.name;
        return { ...reply, kinds, ...(page.length < rest.length && next !== undefined ? { next } : {}) };
      }
      case 'positions': {
        const at = new Map(question.kinds.map((asked) => [asked.kind, asked.at]));
        const asked = all.filter(({ name }) => at.has(name));
        const only = question.namespaces === undefined ? undefined : new Set(question.namespaces);
        const { proven } = question;
        const count = (kind: Kind): Promise<KindAnswer> =>
          this.#count(kind, slots, { at: at.get(kind.name) ?? '', only, proven }, signal);
        return { ...reply, kinds: await Promise.all(asked.map(count)) };
      }
      case 'scope': {
        const found = all.find(({ namespaces }) => scopeText(namespaces) === question.scope)?.namespaces;
        if (found === undefined)
          return { ...reply, error: `no object of the namespaces ${question.scope} is exported` };
        const rest = found.names.filter((name) => name > (question.after ?? ''));
        const page = rest.slice(0, MAX_NAMESPACES_ASKED);
        const next = page.at(-1);
        const namespaces = { except: found.except, names: page };
        return { ...reply, namespaces, ...(page.length < rest.length && next !== undefined ? { next } : {}) };
      }
    }
    return question satisfies never;
  }

  /** A kind as of the oldest of the positions that its feeds prove. */
  #prove(kind: Kind, slots: ReadonlySet<number>, signal: AbortSignal): Promise<KindAnswer> {
    return this.#try(kind, signal, async (limited) => {
      const inUse = kind.feeds.filter((feed) => feed.count(slots) > 0);
      if (inUse.length === 0) return { ...named(kind), at: '', count: 0, digest: hex(0n) };
      const proven = await Promise.all(inUse.map((feed) => feed.prove(limited)));
      const at = proven.reduce((a, b) => (compareResourceVersion(a, b) <= 0 ? a : b));
      return { ...named(kind), at, ...total(inUse.map((feed) => feed.census(slots, at))) };
    });
  }

  #count(
    kind: Kind,
    slots: ReadonlySet<number>,
    {
      at,
      only,
      proven,
    }: { readonly at: string; readonly only?: ReadonlySet<string> | undefined; readonly proven: boolean },
    signal: AbortSignal,
  ): Promise<KindAnswer> {
    return this.#try(kind, signal, async (limited) => {
      const feeds = kind.feeds.filter((feed) => {
        const mayHold = only === undefined || [...only].some((name) => holdsNamespace(feed.selection.namespaces, name));
        return mayHold && (proven || feed.count(slots) > 0 || feed.hasReached(at));
      });
      await Promise.all(feeds.map((feed) => feed.prove(limited, at)));
      return { ...named(kind), at, ...total(feeds.map((feed) => feed.census(slots, at, only))) };
    });
  }

  async #try(
    kind: Kind,
    signal: AbortSignal,
    count: (signal: AbortSignal) => Promise<KindAnswer>,
  ): Promise<KindAnswer> {
    const broken = kind.feeds.find(({ unavailable }) => unavailable !== undefined)?.unavailable;
    if (broken !== undefined) return { ...this.#uncounted(kind, broken), known: true };
    try {
      const answer = await count(AbortSignal.any([signal, AbortSignal.timeout(PROOF_LIMIT_MS)]));
      this.#failingSince.delete(kind.name);
      return answer;
    } catch (error) {
      const said = error instanceof Error ? error.message : String(error);
      return this.#uncounted(kind, kind.feeds.find((feed) => feed.problem !== undefined)?.problem ?? said);
    }
  }

  #uncounted(kind: Kind, problem: string): Extract<KindAnswer, { problem: string }> {
    const now = this.#clock.monotonic();
    const known = this.#failingSince.get(kind.name) ?? now;
    this.#failingSince.set(kind.name, known);
    const since = Math.min(known, ...kind.feeds.map(({ problemSince }) => problemSince ?? now));
    const text = problem.slice(0, MAX_PROBLEM) || 'no reason given';
    return { ...named(kind), problem: text, sinceMs: Math.max(0, Math.round(now - since)) };
  }
}

function pageOf(kinds: readonly Kind[]): readonly Kind[] {
  let feeds = 0;
  let size = 0;
  for (const kind of kinds.slice(0, MAX_KINDS_ASKED)) {
    feeds += kind.feeds.length;
    if (size > 0 && feeds > MAX_FEEDS_ASKED) break;
    size++;
  }
  return kinds.slice(0, size);
}

const named = ({ name, namespaces }: Kind): { readonly kind: string; readonly scope: string } => ({
  kind: name,
  scope: scopeText(namespaces),
});

function total(counts: readonly SlotCensus[]): { readonly count: number; readonly digest: string } {
  let count = 0;
  let digest = 0n;
  for (const each of counts) {
    count += each.count;
    digest += each.digest;
  }
  return { count, digest: hex(digest) };
}

function hex(digest: bigint): string {
  return BigInt.asUintN(64, digest).toString(16).padStart(16, '0');
}
