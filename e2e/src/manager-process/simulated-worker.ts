import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  ASSIGNMENT_STREAM,
  activeReplicaOf,
  type Assignment,
  assignmentMessageSchema,
  assignmentSubject,
  compareEpoch,
  type Handover,
  type Heartbeat,
  heartbeatSubject,
  pingSubject,
  type VerifyReply,
  type VerifyRequest,
  verifyRequestSchema,
  verifySubject,
  type WorkerAddress,
} from '@shard-controller/shared/contracts';
import { rangesToSlots, textToSlots } from '@shard-controller/shared/hashing';
import { connectNats, LastValueStream, type NatsLink } from '@shard-controller/shared/nats';
import type { Logger } from '@shard-controller/shared/observability';
import { z } from 'zod';

const KIND = 'configmaps';
/** The objects of all simulated workers never change: one position is as good as any. */
const POSITION = '1000';
const MASK = 0xffff_ffff_ffff_ffffn;

/** How many objects a slot holds, and the digest of them: the same at every worker that exposes it. */
const objectsIn = (slot: number): number => (slot * 7) % 23;
const digestOf = (slot: number): bigint => (BigInt(slot + 1) * 0x9e37_79b9_7f4a_7c15n) & MASK;

export type WorkerFault = 'mute' | 'omit-one' | 'never-warm';

export interface SimulatedWorkerOptions {
  readonly address: WorkerAddress;
  readonly uid: string;
  readonly pod: string;
  readonly node: string;
  readonly revision: string;
  readonly natsUrl: string;
  readonly logger: Logger;
  /** What its ShardInstance says; undefined while it cannot be read. */
  readonly assignment: () => Promise<Assignment | undefined>;
  /** How long it takes to load slots, ms. */
  readonly warmMs: number;
  /** Objects in all that it claims to export; what its slots hold when absent. */
  readonly objects: () => number | undefined;
  readonly fault: () => WorkerFault | undefined;
  /** Called with every change of what it exposes. */
  readonly onExposed: () => void;
}

/**
 * A worker as the manager sees one: real NATS, real contracts, and slots that it exposes, moves and verifies, but no
 * exporter and no objects behind it.
 */
export class SimulatedWorker {
  readonly options: SimulatedWorkerOptions;
  readonly exposed = new Set<number>();
  /** Every assignment that it accepted, oldest first. */
  readonly accepted: Assignment[] = [];
  readonly #boot = randomUUID();
  readonly #stop = new AbortController();
  readonly #handovers = new Map<string, Handover>();
  #link: NatsLink | undefined;
  #assignment: Assignment | undefined;
  #sequence = 0;
  #draining = false;
  #scrapedAt = { start: 0, end: 0 };

  constructor(options: SimulatedWorkerOptions) {
    this.options = options;
  }

  get alive(): boolean {
    return !this.#stop.signal.aborted;
  }

  get assignment(): Assignment | undefined {
    return this.#assignment;
  }

  /** Whether it answers scrapes: what a standby exposes is not seen. */
  get serves(): boolean {
    return activeReplicaOf(this.#assignment ?? {}) === this.options.address.replica;
  }

  async start(): Promise<void> {
    const { address, natsUrl, logger, pod } = this.options;
    const link = await connectNats({ servers: natsUrl, name: pod, logger });
    if (!this.alive) return link.close();
    this.#link = link;
    link.subscribe({ subject: pingSubject(address), schema: z.unknown() }, (message) => {
      if (this.options.fault() !== 'mute') message.respond(this.heartbeat());
    });
    link.subscribe({ subject: verifySubject(address), schema: verifyRequestSchema }, (message) => {
      const { body } = message;
      if (body.ok && this.options.fault() !== 'mute') message.respond(this.#verify(body.value));
    });
    const values = new LastValueStream({ link, stream: ASSIGNMENT_STREAM, schema: assignmentMessageSchema });
    void values.watch(assignmentSubject(address), {
      signal: this.#stop.signal,
      onRecord: ({ body }) => {
        if (body.ok) void this.#look(body.value);
      },
    });
    void this.#beat();
  }

  /** SIGTERM: exits by itself once it owns and exposes nothing. */
  async drain(graceMs: number): Promise<void> {
    this.#draining = true;
    this.#publish();
    const deadline = Date.now() + graceMs;
    const isNeeded = (): boolean => this.serves && (this.exposed.size > 0 || this.#owned().length > 0);
    while (this.alive && Date.now() < deadline && isNeeded()) await sleep(50);
    await this.kill();
  }

  /** All processes of the pod are gone at once. */
  async kill(): Promise<void> {
    if (!this.alive) return;
    this.#stop.abort();
    this.exposed.clear();
    this.options.onExposed();
    // No goodbye: the server sees the connection end.
    await this.#link
      ?.session()
      .connection.close()
      .catch(() => undefined);
    await this.#link?.close().catch(() => undefined);
  }

  /** A message is a notice that the ShardInstance has changed. */
  async #look(notice: Assignment): Promise<void> {
    const isNews = (): boolean => this.#assignment === undefined || compareEpoch(notice, this.#assignment) > 0;
    while (this.alive && isNews()) {
      const held = await this.options.assignment();
      if (held !== undefined) return this.#accept(held);
      await sleep(100);
    }
  }

  #accept(next: Assignment): void {
    if (!this.alive || next.shardConfig.uid !== this.options.uid) return;
    if (this.#assignment !== undefined && compareEpoch(next, this.#assignment) <= 0) return;
    this.#assignment = next;
    this.accepted.push(next);
    const { slotCount } = next;
    this.#load(next);
    const named = new Set<string>();
    for (const [migration, slots] of byMigration(next.warmRanges, slotCount)) {
      named.add(migration);
      if (!this.#handovers.has(migration)) void this.#warm(migration, slots);
    }
    for (const [migration, slots] of byMigration(next.releaseRanges, slotCount)) {
      named.add(migration);
      const state = this.#handovers.get(migration)?.state;
      if (state !== 'releasing' && state !== 'released') void this.#release(migration, slots);
    }
    const owned = new Set(this.#owned());
    if (!this.serves) for (const slot of this.exposed) if (!owned.has(slot)) this.exposed.delete(slot);
    this.options.onExposed();
    for (const [migration, { role }] of this.#handovers) {
      if (named.has(migration)) continue;
      this.#handovers.delete(migration);
      if (role === 'target') this.#forget(migration, owned);
    }
    this.#publish();
  }

  readonly #warmed = new Map<string, readonly number[]>();

  /** A warm that was given up takes back what it added; one that succeeded stays, because the slots are owned now. */
  #forget(migration: string, owned: ReadonlySet<number>): void {
    for (const slot of this.#warmed.get(migration) ?? []) if (!owned.has(slot)) this.exposed.delete(slot);
    this.#warmed.delete(migration);
    this.options.onExposed();
  }

  #load(next: Assignment): void {
    const missing = this.#owned().filter((slot) => !this.exposed.has(slot));
    if (missing.length === 0) return;
    void sleep(this.options.warmMs).then(() => {
      if (!this.alive || this.#assignment !== next) return this.#assignment && this.#load(this.#assignment);
      for (const slot of missing) this.exposed.add(slot);
      this.options.onExposed();
      return this.#publish();
    });
  }

  async #warm(migration: string, slots: readonly number[]): Promise<void> {
    const report = (state: Handover['state']): void => {
      const acknowledged = state === 'acknowledged' ? { acknowledgedAt: Date.now() } : {};
      this.#handovers.set(migration, { migration, role: 'target', state, objects: count(slots), ...acknowledged });
      this.#publish();
    };
    report('warming');
    if (this.options.fault() === 'never-warm') return;
    await sleep(this.options.warmMs);
    if (!this.alive || !this.#handovers.has(migration)) return;
    for (const slot of slots) this.exposed.add(slot);
    this.#warmed.set(migration, slots);
    this.options.onExposed();
    report('acknowledged');
  }

  async #release(migration: string, slots: readonly number[]): Promise<void> {
    const report = (state: Handover['state']): void => {
      this.#handovers.set(migration, { migration, role: 'source', state, objects: count(slots) });
      this.#publish();
    };
    report('releasing');
    await sleep(20);
    if (!this.alive) return;
    for (const slot of slots) this.exposed.delete(slot);
    this.options.onExposed();
    report('released');
  }

  #verify({ v, migration, slots: asked, question }: VerifyRequest): VerifyReply {
    const slots = textToSlots(asked, this.#assignment?.slotCount ?? 256).filter((slot) => this.exposed.has(slot));
    // Only as a target it leaves one out.
    const isTarget = this.#handovers.get(migration)?.role === 'target';
    const omitted = this.options.fault() === 'omit-one' && isTarget ? 1 : 0;
    const digest = slots.reduce((sum, slot) => (sum + digestOf(slot)) & MASK, 0n);
    const kind = {
      kind: KIND,
      scope: '',
      at: POSITION,
      count: Math.max(0, count(slots) - omitted),
      digest: digest.toString(16).padStart(16, '0'),
    };
    const isCount = question.ask === 'kinds' || question.ask === 'positions';
    return { v, migration, settled: true, kinds: isCount ? [kind] : [], late: [] };
  }

  #owned(): number[] {
    return this.#assignment === undefined ? [] : rangesToSlots(this.#assignment.hashRanges, this.#assignment.slotCount);
  }

  async #beat(): Promise<void> {
    while (this.alive) {
      // One Prometheus, which reads every worker twice a second.
      const now = Date.now();
      this.#scrapedAt = { start: now, end: now + 1 };
      this.#publish();
      await sleep(500);
    }
  }

  #publish(): void {
    if (this.alive && this.#link !== undefined)
      this.#link.publish(heartbeatSubject(this.options.address), this.heartbeat());
  }

  /** What it says of itself now. */
  heartbeat(): Heartbeat {
    const { address, uid, pod, node, revision } = this.options;
    const owned = this.#owned();
    const acknowledged = owned.filter((slot) => this.exposed.has(slot)).length;
    const isWarm = this.#assignment !== undefined && acknowledged === owned.length;
    const objects = this.options.objects() ?? count([...this.exposed]);
    this.#sequence += 1;
    return {
      v: 'shard.heartbeat.v1',
      uid,
      shardId: address.shardId,
      replica: address.replica,
      pod,
      node,
      boot: this.#boot,
      sequence: this.#sequence,
      sentAt: Date.now(),
      revision,
      phase: this.#draining ? 'Draining' : isWarm ? 'Running' : 'Warming',
      generation: this.#assignment?.generation ?? 0,
      epoch: this.#assignment?.epoch ?? 0,
      feeds: { synced: 1, total: 1, oldestProofMs: 5 },
      exporter: { state: 'running', since: 0 },
      gateway: {
        state: this.serves ? (isWarm ? 'serving' : 'warming') : 'standby',
        reason: '',
        scrapers: this.serves
          ? [{ id: 'prometheus', lastStart: this.#scrapedAt.start, lastEnd: this.#scrapedAt.end }]
          : [],
      },
      slots: { assigned: owned.length, acknowledged },
      load: {
        objects,
        expositionBytes: objects * 1000,
        memoryBytes: 50_000_000,
        scrapeDurationMs: 10,
        queueDepth: 0,
        objectsByResource: { pods: objects },
      },
      handovers: [...this.#handovers.values()],
    };
  }
}

const count = (slots: readonly number[]): number => slots.reduce((sum, slot) => sum + objectsIn(slot), 0);

function byMigration(ranges: Assignment['warmRanges'], slotCount: number): Map<string, number[]> {
  const slots = new Map<string, number[]>();
  for (const { migration, start, end } of ranges) {
    slots.set(migration, [...(slots.get(migration) ?? []), ...rangesToSlots([{ start, end }], slotCount)]);
  }
  return slots;
}
