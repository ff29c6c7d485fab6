import {
  INSPECTION_PREFIX,
  INSPECTION_SERVICE,
  inspectionAnswers,
  type InspectionEndpoint,
  type InspectionItem,
  inspectionQueries,
  type InspectionQuery,
} from '@shard-controller/shared/contracts';
import { type NatsLink, parseMessage } from '@shard-controller/shared/nats';
import type { Clock } from '@shard-controller/shared/runtime';
import { z } from 'zod';
import type { ShardConfigState } from '../aggregate/index.ts';
import type { ConfigRunner } from '../runner/index.ts';
import { concerns, DecisionReader, type LoggedDecision } from './decision-answers.ts';
import { type Inspected, migrationItem, shardItems, statusItem } from './fleet-answers.ts';
import { NatsService, type ServiceEndpoint } from './nats-service.ts';
import { pageOf } from './paging.ts';
import { completedDurations, planItem } from './plan-answer.ts';
import { InspectionQueryError, slotAsked } from './slot-asked.ts';
import { SlotHistory } from './slot-history.ts';

const VERSION = '0.1.0';
/** How far back the log is read for "since when" and "how long did it take", in messages of all ShardConfigs. */
const LOOK_BACK = 20_000;
/** Decisions that are listed when a question does not say how many. */
const FEW = 50;

export interface InspectionOptions {
  readonly link: Pick<NatsLink, 'subscribeRaw'>;
  readonly clock: Clock;
  /** Name of this process in the Lease; the instance of the service is named after it. */
  readonly identity: string;
  /** Namespace whose ShardConfigs this manager decides about. */
  readonly namespace: string;
  readonly runners: () => readonly Pick<ConfigRunner, 'config' | 'state' | 'hold' | 'log'>[];
  /** What the worker that serves a shard last said; undefined while it is not heard. */
  readonly worker: (config: ConfigRunner['config'], shardId: string, replica: 'a' | 'b') => WorkerFigures | undefined;
}

interface WorkerFigures {
  readonly pod: string;
  readonly objects: number;
}

/** A token of a subject, and an id of a service: letters and digits. */
export const instanceId = (identity: string): string => identity.replace(/[^A-Za-z0-9]/g, '');

/**
 * Read models over NATS request/reply, `shard.inspect.v1.{status,shards,where,plan,explain,events}`: a NATS micro
 * service (ADR-32). Only the leader opens it; nothing that is asked changes anything.
 */
export function inspectionService(options: InspectionOptions): NatsService {
  return new NatsService({
    link: options.link,
    clock: options.clock,
    name: INSPECTION_SERVICE,
    id: instanceId(options.identity),
    version: VERSION,
    description: 'What shard-controller knows and does: who owns what since when and why, and what would move',
    endpoints: inspectionEndpoints(options),
  });
}

/** The questions, wherever they are asked. */
export function inspectionEndpoints(options: Omit<InspectionOptions, 'link'>): readonly ServiceEndpoint[] {
  const inspection = new Inspection(options);
  const endpoint = <E extends InspectionEndpoint>(
    name: E,
    answer: (query: InspectionQuery<E>) => Promise<Page<InspectionItem<E>>>,
  ): ServiceEndpoint => ({
    name,
    subjects: [`${INSPECTION_PREFIX}.${name}`, `${INSPECTION_PREFIX}.${options.namespace}.${name}`],
    metadata: {
      request: JSON.stringify(z.toJSONSchema(inspectionQueries[name])),
      response: JSON.stringify(z.toJSONSchema(inspectionAnswers[name])),
    },
    answer: async (request) => {
      const { items, next } = await answer(parseQuery(name, request));
      return {
        manager: options.identity,
        at: options.clock.now(),
        items: [...items],
        ...(next === undefined ? {} : { next }),
      };
    },
  });
  return [
    endpoint('status', (query) => inspection.status(query)),
    endpoint('shards', (query) => inspection.shards(query)),
    endpoint('where', (query) => inspection.where(query)),
    endpoint('plan', (query) => inspection.plan(query)),
    endpoint('explain', (query) => inspection.explain(query)),
    endpoint('events', (query) => inspection.events(query)),
  ];
}

interface Page<T> {
  readonly items: readonly T[];
  readonly next?: number;
}

/** An empty request asks for everything. @throws InspectionQueryError */
function parseQuery<E extends InspectionEndpoint>(name: E, request: Uint8Array): InspectionQuery<E> {
  const schema: z.ZodType = inspectionQueries[name];
  const parsed = parseMessage(schema, request.byteLength === 0 ? Buffer.from('{}') : request);
  if (!parsed.ok) throw new InspectionQueryError(`${name}: ${parsed.problem}`);
  return parsed.value as InspectionQuery<E>;
}

type Runner = ReturnType<InspectionOptions['runners']>[number];

class Inspection {
  readonly #options: Omit<InspectionOptions, 'link'>;

  constructor(options: Omit<InspectionOptions, 'link'>) {
    this.#options = options;
  }

  async status({ config, offset, limit }: InspectionQuery<'status'>): Promise<Page<InspectionItem<'status'>>> {
    return pageOf(
      this.#selected(config).map((runner) => statusItem(this.#inspected(runner))),
      offset,
      limit,
    );
  }

  async shards(query: InspectionQuery<'shards'>): Promise<Page<InspectionItem<'shards'>>> {
    const items = this.#selected(query.config).flatMap((runner) => shardItems(this.#inspected(runner)));
    const wanted = items.filter(({ shard }) => query.shard === undefined || shard === query.shard);
    return pageOf(wanted, query.offset, query.limit);
  }

  async where(query: InspectionQuery<'where'>): Promise<Page<InspectionItem<'where'>>> {
    const items: InspectionItem<'where'>[] = [];
    for (const runner of this.#known(query.config)) {
      const { state, config } = runner;
      if (state.settings === null) continue;
      const slot = slotAsked(state.settings, query);
      const history = new SlotHistory(slot);
      for await (const decision of this.#newest(runner)) history.add(decision);
      const owner = state.owners[slot] ?? null;
      const shard = owner === null ? undefined : state.shards[owner];
      const { arrival } = history;
      const migration = Object.values(state.migrations).find(({ slots }) => slots.includes(slot));
      items.push({
        namespace: config.namespace,
        config: config.name,
        slot,
        shard: owner,
        pod: shard === undefined ? null : (this.#options.worker(config, shard.shardId, shard.active)?.pod ?? null),
        ...(arrival === undefined || arrival.shardId !== owner
          ? {}
          : { since: arrival.at, sequence: arrival.sequence, why: arrival.why }),
        ...(migration === undefined ? {} : { migration: migrationItem(migration) }),
      });
    }
    return pageOf(items);
  }

  async plan(query: InspectionQuery<'plan'>): Promise<Page<InspectionItem<'plan'>>> {
    const items: InspectionItem<'plan'>[] = [];
    for (const runner of this.#known(query.config)) {
      const durations: number[] = [];
      for await (const { events } of this.#newest(runner)) durations.push(...completedDurations(events));
      const item = planItem(this.#inspected(runner), query, durations.slice(-100));
      if (item !== undefined) items.push(item);
    }
    return pageOf(items);
  }

  async explain({
    config,
    sequence,
    migration,
    offset,
    limit,
  }: InspectionQuery<'explain'>): Promise<Page<InspectionItem<'explain'>>> {
    if ((sequence === undefined) === (migration === undefined)) {
      throw new InspectionQueryError('explain: give either `sequence` (of a decision) or `migration` (its id)');
    }
    const runner = this.#one(config);
    const reader = new DecisionReader(runner.config, runner.state);
    const items: InspectionItem<'explain'>[] = [];
    const from = sequence ?? Math.max(1, runner.state.sequence - LOOK_BACK);
    for await (const decision of runner.log.decisions(from)) {
      const isAsked = migration === undefined ? decision.sequence === sequence : concerns(decision, migration);
      if (isAsked) items.push(reader.item(decision, true));
      if (sequence !== undefined && decision.sequence >= sequence) break;
    }
    if (items.length === 0) {
      throw new InspectionQueryError(
        `explain: ${migration === undefined ? `no decision has sequence ${sequence}` : `no decision of the log names ${migration}`}`,
      );
    }
    return pageOf(items, offset, limit);
  }

  /** `next` is the sequence to continue from. */
  async events({ config, from, limit = FEW }: InspectionQuery<'events'>): Promise<Page<InspectionItem<'events'>>> {
    const runner = this.#one(config);
    const reader = new DecisionReader(runner.config, runner.state);
    let items: InspectionItem<'events'>[] = [];
    for await (const decision of from === undefined ? this.#newest(runner) : runner.log.decisions(from)) {
      items.push(reader.item(decision, false));
      // One more than asked for tells that there is more.
      if (items.length > limit) {
        if (from !== undefined) break;
        items = items.slice(1);
      }
    }
    if (from === undefined) return pageOf(items.slice(-limit));
    const page = pageOf(items, 0, limit);
    const next = page.next === undefined ? undefined : items[page.next]?.sequence;
    return { items: page.items, ...(next === undefined ? {} : { next }) };
  }

  #inspected({ config, state, hold }: Runner): Inspected {
    const worker = (shardId: string): WorkerFigures | undefined =>
      this.#options.worker(config, shardId, state?.shards[shardId]?.active ?? 'a');
    return { config, state, hold, worker };
  }

  /** @throws InspectionQueryError when a name is given that no ShardConfig has */
  #selected(name: string | undefined): readonly Runner[] {
    const all = this.#options.runners();
    const selected = all.filter(({ config }) => name === undefined || config.name === name);
    if (name === undefined || selected.length > 0) return selected;
    const known = all.map(({ config }) => config.name);
    throw new InspectionQueryError(
      `there is no ShardConfig ${name} in namespace ${this.#options.namespace}; there ${known.length === 0 ? 'is none' : `are: ${known.join(', ')}`}`,
    );
  }

  #known(name: string | undefined): readonly (Runner & { readonly state: ShardConfigState })[] {
    return this.#selected(name).flatMap((runner) => {
      const { config, state, hold, log } = runner;
      return state === undefined ? [] : [{ config, state, hold, log }];
    });
  }

  #one(name: string | undefined): Runner & { readonly state: ShardConfigState } {
    const known = this.#known(name);
    const [only] = known;
    if (only !== undefined && known.length === 1) return only;
    throw new InspectionQueryError(
      known.length === 0
        ? 'the event log has not been read yet; ask again'
        : `give \`config\`: one of ${known.map(({ config }) => config.name).join(', ')}`,
    );
  }

  #newest({ log, state }: Runner): AsyncIterable<LoggedDecision> {
    return log.decisions(Math.max(1, (state?.sequence ?? 0) - LOOK_BACK));
  }
}
