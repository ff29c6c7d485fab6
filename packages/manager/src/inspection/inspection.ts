import { createHash } from 'node:crypto';
import { slotOf, slotsToRanges } from '@shard-controller/shared/hashing';
import type { NatsLink } from '@shard-controller/shared/nats';
import { z } from 'zod';
import { assignedSlots, type ShardConfigState } from '../aggregate/index.ts';
import type { ConfigRunner } from '../runner/index.ts';

const VERSION = '0.1.0';
const SERVICE = 'shard-inspect';
const PREFIX = 'shard.inspect.v1';
/** Most events in one answer, which has to stay below 64 KiB. */
const MAX_EVENTS = 50;

const name = z.string().min(1).max(63);
const querySchema = z.object({
  /** ShardConfig; all of them for `status` when it is left out. */
  config: name.optional(),
  /** For `where`: top 32 bits of an object's hash, or a slot. */
  hash: z.int().min(0).max(0xffff_ffff).optional(),
  slot: z.int().min(0).max(4095).optional(),
  /** For `events`: first sequence of interest. */
  from: z.int().min(1).optional(),
});

type Query = z.infer<typeof querySchema>;

export interface InspectionOptions {
  readonly link: NatsLink;
  /** Name of this process in the Lease; the instance of the service is named after it. */
  readonly identity: string;
  readonly runners: () => readonly ConfigRunner[];
  readonly leading: () => boolean;
}

/**
 * Read models over NATS request/reply, `shard.inspect.v1.{status,shards,where,events}`. Only the leader answers. The
 * service shows up under `$SRV.PING` and `$SRV.INFO` (ADR-32). Returns the end of it.
 */
export function serveInspection(options: InspectionOptions): () => void {
  const { link, leading } = options;
  const endpoints: Readonly<Record<string, (query: Query) => object | Promise<object>>> = {
    status: (query) => selected(options, query).map((runner) => statusAnswer(runner)),
    shards: (query) => selected(options, query).map((runner) => shardsAnswer(runner)),
    where: (query) => selected(options, query).map((runner) => whereAnswer(runner, query)),
    events: (query) => eventsAnswer(selected(options, query)[0], query),
  };
  const subscriptions = Object.entries(endpoints).map(([endpoint, answer]) =>
    link.subscribe({ subject: `${PREFIX}.${endpoint}`, schema: querySchema }, async (message) => {
      if (!leading()) return;
      const { body } = message;
      message.respond(body.ok ? await answer(body.value) : { error: `SC_INSPECT_QUERY: ${body.problem}` });
    }),
  );
  const identity = { name: SERVICE, id: serviceId(options.identity), version: VERSION, metadata: {} };
  const discovery = (['PING', 'INFO'] as const).flatMap((verb) =>
    [`$SRV.${verb}`, `$SRV.${verb}.${SERVICE}`, discoverySubject(verb, options.identity)].map((subject) =>
      link.subscribeRaw(subject, (message) => {
        const type = `io.nats.micro.v1.${verb.toLowerCase()}_response`;
        message.respond(JSON.stringify(verb === 'PING' ? { ...identity, type } : { ...identity, type, ...info() }));
      }),
    ),
  );
  return () => {
    for (const subscription of [...subscriptions, ...discovery]) subscription.unsubscribe();
  };
}

/** Where one manager's instance of the service answers (ADR-32). */
export function discoverySubject(verb: 'PING' | 'INFO', identity: string): string {
  return `$SRV.${verb}.${SERVICE}.${serviceId(identity)}`;
}

/** A subject's token has no dots, and a service's id no dashes. */
function serviceId(identity: string): string {
  return identity.replace(/[^A-Za-z0-9]/g, '');
}

const info = () => ({
  description: 'Which shard owns what, and why',
  endpoints: ['status', 'shards', 'where', 'events'].map((endpoint) => ({
    name: endpoint,
    subject: `${PREFIX}.${endpoint}`,
    queue_group: '',
    metadata: {},
  })),
});

function selected({ runners }: InspectionOptions, { config }: Query): readonly ConfigRunner[] {
  return runners().filter((runner) => config === undefined || runner.config.name === config);
}

function statusAnswer({ config, state, obstacle }: ConfigRunner): object {
  if (state === undefined) return { ...config, known: false, obstacle };
  const { generation, sequence, desiredShards, migrations, rollout, scaling, failover, lastDecision, revision } = state;
  return {
    ...config,
    known: true,
    obstacle,
    generation,
    sequence,
    desiredShards,
    revision,
    migrations: Object.values(migrations).map(({ slots, ...rest }) => ({ ...rest, slots: slots.length })),
    rollout,
    scaling,
    failover,
    lastDecision,
    stateDigest: stateDigest(state),
  };
}

/** Equal for equal states: lets anyone check that this manager's state is what the log folds to. */
export const stateDigest = (state: ShardConfigState): string =>
  createHash('sha256').update(JSON.stringify(state)).digest('hex');

function shardsAnswer({ config, state }: ConfigRunner): object {
  if (state?.settings == null) return { ...config, shards: [] };
  const { slotCount } = state.settings;
  const slots = assignedSlots(state);
  return {
    ...config,
    shards: Object.values(state.shards).map(({ shardId, active, health, since, revision, draining, epoch }) => {
      const owned = slots.get(shardId)?.owned ?? [];
      const hashRanges = slotsToRanges(owned, slotCount);
      return { shardId, active, health, since, revision, draining, epoch, slots: owned.length, hashRanges };
    }),
  };
}

function whereAnswer({ config, state }: ConfigRunner, { hash, slot }: Query): object {
  const at = slotAsked(state, hash, slot);
  if (state === undefined || at === undefined) return { ...config, error: 'SC_INSPECT_QUERY: give hash or slot' };
  const migration = Object.values(state.migrations).find(({ slots }) => slots.includes(at));
  return { ...config, slot: at, owner: state.owners[at] ?? null, migration: migration?.id, movesTo: migration?.target };
}

function slotAsked(state: ShardConfigState | undefined, hash?: number, slot?: number): number | undefined {
  if (slot !== undefined) return slot;
  return hash === undefined || state?.settings == null ? undefined : slotOf(hash, state.settings.slotCount);
}

/** The decisions from a sequence on, oldest first; go on with `next`. */
async function eventsAnswer(runner: ConfigRunner | undefined, { from }: Query): Promise<object> {
  if (runner === undefined) return { error: 'SC_INSPECT_QUERY: there is no such ShardConfig' };
  const decisions: object[] = [];
  let length = 0;
  for await (const decision of runner.log.decisions(from ?? 1)) {
    const { sequence, at, command, reason, events } = decision;
    const item = { sequence, at, command, reason, events: events.map(({ type }) => type) };
    length += JSON.stringify(item).length;
    if (decisions.length >= MAX_EVENTS || length > 48_000) return { decisions, next: sequence };
    decisions.push(item);
  }
  return { decisions };
}
