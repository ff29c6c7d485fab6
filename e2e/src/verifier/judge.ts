import { forEachSeries } from './exposition.ts';
import { SeriesTable } from './series-table.ts';

/** The bytes of one successful scrape, or nothing. Times are ms on one monotonic clock. */
export interface Exposition {
  readonly start: number;
  readonly end: number;
  readonly body: Buffer | undefined;
}

/** What a phase showed so far; times in ms. */
export interface PhaseFigures {
  readonly ticks: number;
  /** Largest number of expected series that a target had shown and that none shows now, over the ticks. */
  readonly missingMax: number;
  /** Time in which at least one expected series was missing. */
  readonly missingMs: number;
  /** Missing series of each tick times its length, added up. */
  readonly missingSeriesMs: number;
  /** End of the last tick with a missing series, from the start of the phase; 0 when there was none. */
  readonly missingUntilMs: number;
  /** Series that no target had shown yet, 1 s or more after the reference: a starved worker is late, and loses nothing. */
  readonly lateMax: number;
  readonly lateMaxMs: number;
  /** Series that two targets had at once: the most in a tick, the longest for one series, and in the last tick. */
  readonly doubledMax: number;
  readonly doubledMs: number;
  readonly doubledNow: number;
  /** Doubled series of each tick times its length, added up. */
  readonly doubledSeriesMs: number;
  /** Expected series in the last tick. */
  readonly expected: number;
  /** Some missing, late or doubled series by name. */
  readonly samples: readonly string[];
}

/**
 * `reference`: expected are the series in every reference scrape of the 2 s before the tick's scrapes and in those of
 * the second after them: on a busy machine the reference may hear of a deletion later than the workers. One that the reference has had for less than 1 s is new, which matters when a slow tick leaves a single
 * scrape in those 2 s. `frozen`: expected are the series that the reference had when the phase began and still has when
 * it ends; for a phase in which the reference itself loses its store. The API server's own identity Lease is left out:
 * it deletes that and makes a new one whenever it starts. Nor is expected what the fleet's own pods and Deployment make
 * go and come back when they are killed. What is expected and in no target is missing when a target has shown it before or
 * 30 s have passed, else late.
 */
export type Expectation = 'reference' | 'frozen';

const WINDOW_MS = 2000;
const LATE_MS = 1000;
/** How long the reference must keep showing a series that no target had. */
const CONFIRM_MS = 1000;
/** What no target has shown for so long is lost, not late. */
const LOST_MS = 30_000;
/** Targets may show a series so many ticks before the reference does. */
const AHEAD_TICKS = 2;
const MAX_SAMPLES = 5;

const LEASE_PREFIX = Buffer.from('kube_lease_');
const POD_PREFIX = Buffer.from('kube_pod_');
const DEPLOYMENT_PREFIX = Buffer.from('kube_deployment_status_condition');
const ENDPOINT_PREFIX = Buffer.from('kube_endpointslice_endpoints');

/**
 * Of the fleet itself: they go and come back when a phase kills a manager or a worker, sooner than two looks at the
 * reference.
 */
const FLEETS_OWN =
  /^kube_(?:deployment_status_condition|pod_status_(?:ready|container_ready)_time|pod_container_state_started)\{namespace="monitoring",/;

/** Whether an endpoint is ready is a label: a worker whose API server is away is not, and is again when it is back. */
const FLEETS_ENDPOINT = 'targetref_namespace="monitoring"';

/** Its holder is a label: a manager that lets go of it while the API server is away, and takes it again, leaves a gap. */
const MANAGERS_LEASE = 'lease="shard-controller-manager"';

/** Who makes a series go and come back by itself. */
const Owner = { Nobody: 0, ApiServer: 1, Fleet: 2 } as const;

function startsWith(body: Buffer, from: number, prefix: Buffer): boolean {
  return body.compare(prefix, 0, prefix.length, from, Math.min(from + prefix.length, body.length)) === 0;
}

function ownerOf(body: Buffer, from: number, to: number): number {
  if (startsWith(body, from, LEASE_PREFIX)) {
    const series = body.toString('latin1', from, to);
    if (series.includes('lease="apiserver-')) return Owner.ApiServer;
    return series.includes(MANAGERS_LEASE) ? Owner.Fleet : Owner.Nobody;
  }
  if (startsWith(body, from, ENDPOINT_PREFIX)) {
    return body.toString('latin1', from, to).includes(FLEETS_ENDPOINT) ? Owner.Fleet : Owner.Nobody;
  }
  if (!startsWith(body, from, POD_PREFIX) && !startsWith(body, from, DEPLOYMENT_PREFIX)) return Owner.Nobody;
  return FLEETS_OWN.test(body.toString('latin1', from, Math.min(to, from + 100))) ? Owner.Fleet : Owner.Nobody;
}

interface MissingTick {
  readonly at: number;
  readonly ms: number;
  ids: readonly number[];
}

/**
 * Judges ticks. A tick is one scrape of every target at once and then one of the reference. Series are compared by
 * name and labels; nothing corrects for skew between targets.
 */
export class Judge {
  readonly #table = new SeriesTable();
  // Per series: the newest reference scrape that had it, and where its unbroken run of reference scrapes began.
  #referenceSeen = new Uint32Array(0);
  #runStart = new Uint32Array(0);
  #runStartTime = new Float64Array(0);
  #runStartTick = new Uint32Array(0);
  // Per series: the newest tick in which a target had it, and which one; since when it is doubled (0: it is not).
  #tickSeen = new Uint32Array(0);
  #tickTarget = new Uint16Array(0);
  #doubledTick = new Uint32Array(0);
  #doubledSince = new Float64Array(0);
  #frozen = new Uint8Array(0);
  // Per series: an `Owner`.
  #owner = new Uint8Array(0);

  #references: { number: number; start: number; end: number }[] = [];
  #referenceNumber = 0;
  #tick = 0;
  #tickStart = 0;
  #expectation: Expectation = 'reference';
  #phaseStart = 0;
  #lastTickAt = 0;
  #ticks = 0;
  #missing: MissingTick[] = [];
  #lateMax = 0;
  #lateMaxMs = 0;
  #doubledMax = 0;
  #doubledMs = 0;
  #doubledNow = 0;
  #doubledSeriesMs = 0;
  #expected = 0;
  readonly #samples = new Map<number, string>();
  /** What is sampled and was not in the reference then, which alone has its name. */
  readonly #nameless = new Map<number, { readonly kind: string }>();

  startPhase(expectation: Expectation, now: number): void {
    this.#expectation = expectation;
    this.#phaseStart = now;
    this.#lastTickAt = now;
    this.#ticks = 0;
    this.#missing = [];
    this.#lateMax = 0;
    this.#lateMaxMs = 0;
    this.#doubledMax = 0;
    this.#doubledMs = 0;
    this.#doubledNow = 0;
    this.#doubledSeriesMs = 0;
    this.#samples.clear();
    this.#nameless.clear();
    // What an earlier move left doubled is not this phase's: one time per move, not two that touch added up.
    this.#doubledSince.fill(0);
    this.#frozen = new Uint8Array(this.#table.capacity);
    for (let id = 0; id < this.#table.size; id++) {
      if (
        this.#referenceSeen[id] === this.#referenceNumber &&
        this.#referenceNumber > 0 &&
        this.#owner[id] === Owner.Nobody
      ) {
        this.#frozen[id] = 1;
      }
    }
  }

  /** First half of a tick: one scrape of every target, all begun at once. The bodies are not needed afterwards. */
  readTargets(targets: readonly Exposition[]): void {
    this.#tick++;
    this.#tickStart = Math.min(...targets.map((target) => target.start));
    targets.forEach((target, index) => this.#readTarget(target, index));
  }

  /**
   * Second half of a tick: the first scrape of the reference that began after those of the targets. Returns whether the
   * tick counts: not when it began before the phase did; and in `reference` mode not while the reference has no scrape in
   * the 2 s before, or gave none now.
   */
  readReference(reference: Exposition): boolean {
    const start = Math.min(this.#tickStart, reference.start);
    const window = this.#references.filter((r) => r.start >= start - WINDOW_MS && r.end <= start);
    const hadReference = this.#readReference(reference);
    if (this.#expectation === 'reference' && hadReference) this.#dropDeleted(start);
    if (this.#tickStart < this.#phaseStart) return false;
    if (this.#expectation === 'reference' && (!hadReference || window.length === 0)) return false;
    this.#account(start, window[0]?.number ?? 0, reference);
    return true;
  }

  /** What the reference loses within a second of a tick was deleted, and the workers were first to hear of it. */
  #dropDeleted(start: number): void {
    for (const tick of this.#missing) {
      if (tick.at < start - CONFIRM_MS) continue;
      const [kept, deleted] = [true, false].map((isThere) =>
        tick.ids.filter((id) => (this.#referenceSeen[id] === this.#referenceNumber) === isThere),
      );
      tick.ids = kept ?? [];
      for (const id of deleted ?? []) this.#samples.delete(id);
    }
  }

  /** Figures of the phase up to now. `final` drops from a frozen expectation what the reference no longer has. */
  figures(final = false): PhaseFigures {
    const missing = this.#missing
      .map((tick) => (final ? { ...tick, ids: tick.ids.filter((id) => this.#stillExpected(id)) } : tick))
      .filter((tick) => tick.ids.length > 0);
    const last = missing.at(-1);
    return {
      ticks: this.#ticks,
      missingMax: missing.reduce((most, tick) => Math.max(most, tick.ids.length), 0),
      missingMs: Math.round(missing.reduce((sum, tick) => sum + tick.ms, 0)),
      missingSeriesMs: Math.round(missing.reduce((sum, tick) => sum + tick.ms * tick.ids.length, 0)),
      missingUntilMs: last === undefined ? 0 : Math.round(last.at + last.ms - this.#phaseStart),
      lateMax: this.#lateMax,
      lateMaxMs: Math.round(this.#lateMaxMs),
      doubledMax: this.#doubledMax,
      doubledMs: Math.round(this.#doubledMs),
      doubledNow: this.#doubledNow,
      doubledSeriesMs: Math.round(this.#doubledSeriesMs),
      expected: this.#expected,
      samples: [...this.#samples].filter(([id]) => !final || this.#stillExpected(id)).map(([, text]) => text),
    };
  }

  #stillExpected(id: number): boolean {
    return this.#expectation === 'reference' || this.#referenceSeen[id] === this.#referenceNumber;
  }

  #intern(high: number, low: number): number {
    const id = this.#table.intern(high, low);
    if (id >= this.#referenceSeen.length) this.#growTo(this.#table.capacity);
    return id;
  }

  #growTo(capacity: number): void {
    const grown = <T extends Uint8Array | Uint16Array | Uint32Array | Float64Array>(to: T, from: T): T => {
      to.set(from);
      return to;
    };
    this.#referenceSeen = grown(new Uint32Array(capacity), this.#referenceSeen);
    this.#runStart = grown(new Uint32Array(capacity), this.#runStart);
    this.#runStartTime = grown(new Float64Array(capacity), this.#runStartTime);
    this.#runStartTick = grown(new Uint32Array(capacity), this.#runStartTick);
    this.#tickSeen = grown(new Uint32Array(capacity), this.#tickSeen);
    this.#tickTarget = grown(new Uint16Array(capacity), this.#tickTarget);
    this.#doubledTick = grown(new Uint32Array(capacity), this.#doubledTick);
    this.#doubledSince = grown(new Float64Array(capacity), this.#doubledSince);
    this.#frozen = grown(new Uint8Array(capacity), this.#frozen);
    this.#owner = grown(new Uint8Array(capacity), this.#owner);
  }

  #readTarget(target: Exposition, index: number): void {
    if (target.body === undefined) return;
    forEachSeries(target.body, target.body.length, (high, low) => {
      const id = this.#intern(high, low);
      if (this.#tickSeen[id] === this.#tick && this.#tickTarget[id] !== index) this.#doubledTick[id] = this.#tick;
      this.#tickSeen[id] = this.#tick;
      this.#tickTarget[id] = index;
    });
  }

  #readReference(reference: Exposition): boolean {
    if (reference.body === undefined) return false;
    const before = this.#referenceNumber;
    const number = ++this.#referenceNumber;
    this.#references.push({ number, start: reference.start, end: reference.end });
    this.#references = this.#references.filter((r) => r.start >= reference.start - 2 * WINDOW_MS);
    const { body } = reference;
    this.#nameLater(body);
    forEachSeries(body, body.length, (high, low, from, to) => {
      const id = this.#intern(high, low);
      if (this.#referenceSeen[id] === number) return;
      if (this.#referenceSeen[id] === 0) this.#owner[id] = ownerOf(body, from, to);
      if (this.#referenceSeen[id] !== before || before === 0) {
        this.#runStart[id] = number;
        this.#runStartTime[id] = reference.end;
        this.#runStartTick[id] = this.#tick;
      }
      this.#referenceSeen[id] = number;
    });
    return true;
  }

  #account(start: number, firstInWindow: number, reference: Exposition): void {
    const ms = start - this.#lastTickAt;
    const ids: number[] = [];
    const late: number[] = [];
    const doubled: number[] = [];
    let expected = 0;
    for (let id = 0; id < this.#table.size; id++) {
      if (this.#doubledTick[id] === this.#tick) {
        if (this.#doubledSince[id] === 0) this.#doubledSince[id] = start;
        this.#doubledMs = Math.max(this.#doubledMs, start - (this.#doubledSince[id] as number) + ms);
        doubled.push(id);
      } else this.#doubledSince[id] = 0;

      const inTargets = this.#tickSeen[id] === this.#tick;
      const age = start - (this.#runStartTime[id] as number);
      const isExpected =
        this.#expectation === 'frozen'
          ? this.#frozen[id] === 1
          : this.#referenceSeen[id] === this.#referenceNumber &&
            (this.#runStart[id] as number) <= firstInWindow &&
            age >= LATE_MS;
      if (this.#owner[id] === Owner.Fleet) continue;
      const wasShown =
        this.#expectation === 'frozen' ||
        age >= LOST_MS ||
        ((this.#tickSeen[id] as number) > 0 &&
          (this.#tickSeen[id] as number) + AHEAD_TICKS >= (this.#runStartTick[id] as number));
      if (isExpected && (inTargets || wasShown)) {
        expected++;
        if (!inTargets) ids.push(id);
      } else if (!inTargets && this.#expectation === 'reference' && this.#referenceSeen[id] === this.#referenceNumber) {
        if (age > LATE_MS) {
          late.push(id);
          this.#lateMaxMs = Math.max(this.#lateMaxMs, age);
        }
      }
    }
    this.#lastTickAt = start;
    this.#ticks++;
    this.#expected = expected;
    this.#lateMax = Math.max(this.#lateMax, late.length);
    this.#doubledNow = doubled.length;
    this.#doubledMax = Math.max(this.#doubledMax, doubled.length);
    this.#doubledSeriesMs += doubled.length * ms;
    if (ids.length > 0) this.#missing.push({ at: start, ms, ids });
    this.#sample('missing', ids, start, reference);
    this.#sample('late', late, start, reference);
  }

  /** Names a few of `ids`, with the time that the reference had them; the names are in its body only. */
  #sample(kind: string, ids: readonly number[], start: number, reference: Exposition): void {
    const body = reference.body;
    if (ids.length === 0 || body === undefined || this.#samples.size >= MAX_SAMPLES) return;
    const wanted = new Set(ids.slice(0, MAX_SAMPLES));
    forEachSeries(body, body.length, (high, low, from, to) => {
      const id = this.#intern(high, low);
      if (!wanted.delete(id) || this.#samples.size >= MAX_SAMPLES) return;
      const age = Math.round(start - (this.#runStartTime[id] as number));
      if (!this.#samples.has(id)) this.#samples.set(id, `${kind}, ${age} ms old: ${body.toString('utf8', from, to)}`);
    });
    for (const id of wanted) if (!this.#samples.has(id)) this.#nameless.set(id, { kind });
  }

  #nameLater(body: Buffer): void {
    if (this.#nameless.size === 0) return;
    forEachSeries(body, body.length, (high, low, from, to) => {
      const id = this.#intern(high, low);
      const found = this.#nameless.get(id);
      if (found === undefined || !this.#nameless.delete(id) || this.#samples.size >= MAX_SAMPLES) return;
      this.#samples.set(id, `${found.kind} while the reference had it not: ${body.toString('utf8', from, to)}`);
    });
  }
}
