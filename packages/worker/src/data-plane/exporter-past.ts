import type { UnavailableKind } from '@shard-controller/shared/contracts';
import type { Clock } from '@shard-controller/shared/runtime';
import type { Outage } from '../feed/health/index.ts';

/** What is known of an exporter that may have been resumed. */
export class ExporterPast {
  readonly #clock: Clock;
  /** Kinds that the process before this one could not read, by name, until their feeds are whole. */
  readonly #presumed = new Map<string, UnavailableKind>();
  #resumedAt: number | undefined;
  #initialSyncComplete = true;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** When a resumed exporter came back; until one starts from nothing. Monotonic ms. */
  get resumedAt(): number | undefined {
    return this.#resumedAt;
  }

  /** The exporter has shown everything since it last started from nothing, here or before this process. */
  get initialSyncComplete(): boolean {
    return this.#initialSyncComplete;
  }

  /** The process before this one had not seen it show everything. */
  distrust(): void {
    this.#initialSyncComplete = false;
  }

  /** The process before this one could not read these kinds. */
  presume(kinds: readonly UnavailableKind[]): void {
    for (const unavailable of kinds) this.#presumed.set(unavailable.kind, unavailable);
  }

  /** It is resumed: it continues from what another process sent it. */
  noteResume(): void {
    this.#resumedAt ??= this.#clock.monotonic();
  }

  /** It asks for everything of a kind. One that cannot be read it asks for again and again, however long it has been there. */
  noteStart(kind: string, hasOutage: boolean): void {
    if (hasOutage || this.#presumed.has(kind)) return;
    this.#resumedAt = undefined;
    this.#initialSyncComplete = false;
  }

  /** It shows everything. */
  noteSynced(): void {
    this.#initialSyncComplete = true;
  }

  /** What the process before this one said of a kind: it has to prove the contrary. */
  outageOf(kind: string): Outage | undefined {
    const presumed = this.#presumed.get(kind);
    if (presumed === undefined) return undefined;
    const { cause, message: problem, since: at, mending: isMending = false } = presumed;
    const since = this.#clock.monotonic() - Math.max(0, this.#clock.now() - at);
    return { since, at, cause, problem, isMending };
  }

  /** The kind is whole again. */
  noteMended(kind: string): void {
    this.#presumed.delete(kind);
  }
}
