import {
  type KindAnswer,
  type KindPosition,
  MAX_KINDS_ASKED,
  MAX_NAMESPACES_ASKED,
  type VerifyReply,
  type VerifyRequest,
} from '@shard-controller/shared/contracts';
import { compareResourceVersion } from '@shard-controller/shared/kubernetes';
import { type Clock, errorMessage } from '@shard-controller/shared/runtime';
import type { SlotDigest } from '../feed/books/index.ts';
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
  digest(slots: ReadonlySet<number>, version: string, namespaces?: ReadonlySet<string>): SlotDigest;
  /** Notes that `migration` compares both sides of its `slots` as of `version`: what comes later may be late. */
  compared(slots: ReadonlySet<number>, migration: string, version: string): void;
  /**
   * Whether the exporter has rendered all objects of `slots` up to `version`. Throws when the feed does not get there
   * before `signal` aborts.
   */
  shows(slots: ReadonlySet<number>, version: string, signal: AbortSignal): Promise<boolean>;
  /** Up to where another worker has to show the released `slots` before the last of their objects can go. */
  lateUntil(slots: ReadonlySet<number>): string | undefined;
  /** Another worker shows `slots` up to `version`. */
  letGo(slots: ReadonlySet<number>, version: string): void;
}

/** What the exporter watches right now. */
export interface Exported {
  /** Every feed that it has asked for and not left, also those that the API server refuses. */
  readonly feeds: readonly VerifiableFeed[];
  /** It is not about to open further watches. */
  readonly settled: boolean;
}

type Kind = ExportedKind<VerifiableFeed>;

/** What is compared. */
interface Moving {
  readonly migration: string;
  readonly slots: ReadonlySet<number>;
}

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
    exported: Exported,
    signal: AbortSignal,
  ): Promise<VerifyReply> {
    const { feeds, settled } = exported;
    const all = exportedKinds(feeds);
    const names = new Set(all.map(({ name }) => name));
    for (const name of this.#failingSince.keys()) if (!names.has(name)) this.#failingSince.delete(name);
    const { v, migration, question } = request;
    const reply = { v, migration, settled, kinds: [] };
    const moving = { migration, slots };
    switch (question.ask) {
      case 'kinds': {
        const rest = all.filter(({ name }) => name > (question.after ?? ''));
        const page = pageOf(rest);
        const kinds = await Promise.all(page.map((kind) => this.#prove(kind, moving, signal)));
        const next = page.at(-1)?.name;
        return { ...reply, kinds, ...(page.length < rest.length && next !== undefined ? { next } : {}) };
      }
      case 'positions': {
        const at = new Map(question.kinds.map((asked) => [asked.kind, asked.at]));
        const asked = all.filter(({ name }) => at.has(name));
        const only = question.namespaces === undefined ? undefined : new Set(question.namespaces);
        const { proven } = question;
        const count = (kind: Kind): Promise<KindAnswer> =>
          this.#count(kind, moving, { at: at.get(kind.name) ?? '', only, proven }, signal);
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
      case 'shown': {
        const shown = await Promise.all(question.kinds.map((kind) => isShown(exported, kind, slots, signal)));
        return { ...reply, late: question.kinds.filter((_, i) => shown[i] !== true) };
      }
      case 'late':
        return { ...reply, late: letGo(all, slots, question.shown) };
    }
    return question satisfies never;
  }

  /** A kind as of the oldest of the positions that its feeds prove. */
  #prove(kind: Kind, moving: Moving, signal: AbortSignal): Promise<KindAnswer> {
    return this.#try(kind, signal, async (limited) => {
      const { slots } = moving;
      const inUse = kind.feeds.filter((feed) => feed.count(slots) > 0);
      if (inUse.length === 0) return { ...named(kind), at: '', count: 0, digest: hex(0n) };
      const proven = await Promise.all(inUse.map((feed) => feed.prove(limited)));
      const at = proven.reduce((a, b) => (compareResourceVersion(a, b) <= 0 ? a : b));
      return { ...named(kind), at, ...total(inUse, moving, at) };
    });
  }

  #count(
    kind: Kind,
    moving: Moving,
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
        return mayHold && (proven || feed.count(moving.slots) > 0 || feed.hasReached(at));
      });
      await Promise.all(feeds.map((feed) => feed.prove(limited, at)));
      return { ...named(kind), at, ...total(feeds, moving, at, only) };
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
      const said = errorMessage(error);
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

function total(
  feeds: readonly VerifiableFeed[],
  { migration, slots }: Moving,
  at: string,
  only?: ReadonlySet<string>,
): { readonly count: number; readonly digest: string } {
  let count = 0;
  let digest = 0n;
  for (const feed of feeds) {
    const of = feed.digest(slots, at, only);
    feed.compared(slots, migration, at);
    count += of.count;
    digest += of.digest;
  }
  return { count, digest: hex(digest) };
}

/** Whether the exporter shows all of the kind in `slots` up to there. What it is not to export, it goes without. */
async function isShown(
  { feeds, settled }: Exported,
  { kind: name, at }: KindPosition,
  slots: ReadonlySet<number>,
  signal: AbortSignal,
): Promise<boolean> {
  const kind = exportedKinds(feeds).find((each) => each.name === name);
  if (kind === undefined) return settled;
  if (kind.feeds.some(({ unavailable }) => unavailable !== undefined)) return true;
  const limited = AbortSignal.any([signal, AbortSignal.timeout(PROOF_LIMIT_MS)]);
  const shown = kind.feeds.map((feed) => feed.shows(slots, at, limited).catch(() => false));
  return (await Promise.all(shown)).every(Boolean);
}

/** Releases what `shown` allows; kinds that still wait, and for which position. */
function letGo(kinds: readonly Kind[], slots: ReadonlySet<number>, shown: readonly KindPosition[]): KindPosition[] {
  const positions = new Map(shown.map(({ kind, at }) => [kind, at]));
  const late = kinds.flatMap(({ name, feeds }) => {
    const at = positions.get(name);
    if (at !== undefined) for (const feed of feeds) feed.letGo(slots, at);
    const left = feeds.flatMap((feed) => feed.lateUntil(slots) ?? []);
    return left.length === 0
      ? []
      : [{ kind: name, at: left.reduce((a, b) => (compareResourceVersion(a, b) >= 0 ? a : b)) }];
  });
  return late.slice(0, MAX_KINDS_ASKED);
}

function hex(digest: bigint): string {
  return BigInt.asUintN(64, digest).toString(16).padStart(16, '0');
}
