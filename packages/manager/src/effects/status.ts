import { API_VERSION, type Condition, SHARD_CONFIG_KIND, type ShardConfigStatus } from '@shard-controller/shared/api';
import type { Heartbeat, UnavailableKind } from '@shard-controller/shared/contracts';
import type { KubernetesClient } from '@shard-controller/shared/kubernetes';
import type { Clock } from '@shard-controller/shared/runtime';
import { type ShardConfigState, SURGE } from '../aggregate/index.ts';
import type { ConditionType, DesiredCondition, DesiredStatus } from '../decision/index.ts';
import { type ConfigIdentity, FIELD_MANAGER, selectorText, workerSelector } from '../naming/index.ts';
import type { PodProblem } from '../observation/index.ts';

/** Figures such as load may change at every heartbeat: they are written at most so often, ms. */
const QUIET_MS = 2_000;

/** What the manager knows apart from its decisions: why it cannot decide or act. */
export interface ManagerHold {
  readonly reason: string;
  readonly message: string;
}

/** The status as decisions see it, in the resource's form. */
export function statusOf(described: DesiredStatus, state: ShardConfigState, selectorOf: string): ShardConfigStatus {
  const { coverage, lastDecision } = described;
  const missing = coverage.missingShards.slice(0, 1000);
  return {
    observedGeneration: described.observedGeneration,
    shards: described.shards,
    readyShards: described.readyShards,
    desiredShards: described.desiredShards,
    updatedShards: Object.values(state.shards).filter(
      ({ shardId, revision }) => shardId !== SURGE && revision === state.revision,
    ).length,
    revision: state.revision,
    selector: selectorText(workerSelector(selectorOf)),
    ...(described.load === undefined ? {} : { load: Number(described.load.toFixed(3)) }),
    logGeneration: state.generation,
    epoch: described.epoch,
    openMigrations: Object.keys(state.migrations).length,
    coverage: {
      configuredShards: coverage.configuredShards,
      activeShards: coverage.activeShards,
      coveragePercent: Number(coverage.coveragePercent.toFixed(2)),
      missingShards: [...missing],
      ...(coverage.warning === '' ? {} : { warning: coverage.warning.slice(0, 1024) }),
    },
    ...(lastDecision === undefined
      ? {}
      : {
          lastDecision: {
            action: lastDecision.type.slice(0, 63),
            reason: camelCase(lastDecision.type),
            message: lastDecision.reason.slice(0, 1024),
            time: new Date(lastDecision.at).toISOString(),
            epoch: described.epoch,
          },
        }),
  };
}

/** `shard.migration.rolledback.v1` -> `MigrationRolledback`. */
function camelCase(eventType: string): string {
  const words = eventType.split('.').filter((word) => word !== 'shard' && !/^v[0-9]+$/.test(word));
  const text = words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join('');
  return text === '' ? 'Decided' : text;
}

/** What a worker says is wrong with it although it looks well: `note` of its heartbeat. */
export interface WorkerNote {
  readonly shardId: string;
  readonly note: string;
}

/** Adds what workers say of themselves; a reason that is known already stays, and this stands behind it. */
export function withNotes(
  conditions: readonly DesiredCondition[],
  notes: readonly WorkerNote[],
): readonly DesiredCondition[] {
  const message = notes.map(({ shardId, note }) => `${shardId}: ${note}`).join('; ');
  return alsoDegraded(conditions, 'WorkersReport', message);
}

/** Kinds that a worker cannot read although its API server is well otherwise: `unavailable` of its heartbeat. */
export interface KindReport {
  readonly shardId: string;
  readonly unavailable: NonNullable<Heartbeat['unavailable']>;
}

/** Most kinds that a condition names, each with its cause and remedy, and most shards per kind. */
const MAX_KINDS = 8;
const MAX_SHARDS = 3;

/** Names the kinds that workers cannot read: each once, with the shards that say so. */
export function withUnavailableKinds(
  conditions: readonly DesiredCondition[],
  reports: readonly KindReport[],
): readonly DesiredCondition[] {
  const groups = new Map<string, { readonly kind: UnavailableKind; readonly shards: string[] }>();
  for (const { shardId, unavailable } of reports) {
    for (const kind of unavailable.kinds) {
      const key = `${kind.kind} ${kind.cause}`;
      const { kind: before, shards } = groups.get(key) ?? { kind, shards: [] };
      groups.set(key, { kind: kind.since < before.since ? kind : before, shards: [...shards, shardId] });
    }
  }
  const named = [...groups.values()].sort((a, b) => (a.kind.kind < b.kind.kind ? -1 : 1));
  const total = Math.max(named.length, ...reports.map(({ unavailable }) => unavailable.total));
  const texts = named.slice(0, MAX_KINDS).map(({ kind, shards }) => describeKind(kind, shards));
  if (total > texts.length) texts.push(`and ${total - texts.length} more kinds`);
  return alsoDegraded(conditions, 'KindUnavailable', texts.join('; '));
}

function describeKind({ kind, cause, since, message, mending }: UnavailableKind, shards: readonly string[]): string {
  const more = shards.length > MAX_SHARDS ? ` and ${shards.length - MAX_SHARDS} more` : '';
  const state = mending === true ? `can be read again and is loading; it was ${cause}` : cause;
  const where = `${shards.slice(0, MAX_SHARDS).join(', ')}${more}`;
  return `${kind}: ${state} since ${new Date(since).toISOString()} for ${where}: ${message}`;
}

function alsoDegraded(
  conditions: readonly DesiredCondition[],
  reason: string,
  message: string,
): readonly DesiredCondition[] {
  if (message === '') return conditions;
  return conditions.map((condition): DesiredCondition => {
    if (condition.type !== 'Degraded') return condition;
    if (condition.status !== 'True') return { type: 'Degraded', status: 'True', reason, message };
    return { ...condition, message: `${condition.message}; ${message}` };
  });
}

/** Most pods that a message names. */
const MOST_PODS = 3;

/** Adds why wanted workers do not run: it is what anything that waits is waiting for. */
export function withPodProblems(
  conditions: readonly DesiredCondition[],
  problems: readonly PodProblem[],
): readonly DesiredCondition[] {
  const [first] = problems;
  if (first === undefined) return conditions;
  const more = problems.length > MOST_PODS ? [`and ${problems.length - MOST_PODS} more`] : [];
  const texts = problems.slice(0, MOST_PODS).map(({ pod, message }) => `pod ${pod}: ${message}`);
  const message = [...texts, ...more].join('; ');
  return conditions.map((condition) => {
    const { type, status } = condition;
    if (type === 'Degraded' && status !== 'True') return { type, status: 'True', reason: first.reason, message };
    const concerned =
      type === 'Degraded' ||
      (type === 'Progressing' && condition.reason !== 'Settled') ||
      (type === 'Ready' && status === 'False');
    return concerned ? { ...condition, message: `${condition.message}; ${message}` } : condition;
  });
}

/** Adds what keeps the manager from deciding or acting to what its decisions say. */
export function withHold(conditions: readonly DesiredCondition[], hold: ManagerHold | undefined): DesiredCondition[] {
  if (hold === undefined) return [...conditions];
  const degraded: DesiredCondition = { type: 'Degraded', status: 'True', ...hold };
  const ready = conditions.some(({ type }) => type === 'Ready')
    ? []
    : [{ type: 'Ready' as const, status: 'Unknown' as const, ...hold }];
  return [...ready, ...conditions.filter(({ type }) => type !== 'Degraded'), degraded];
}

const OWN: readonly string[] = ['Ready', 'Progressing', 'Degraded', 'ScalingLimited'] satisfies ConditionType[];

const isOwn = (type: string): type is ConditionType => OWN.includes(type);

export interface StatusWriterOptions {
  readonly client: Pick<KubernetesClient, 'apply'>;
  /** Whether this manager leads at the moment of the call. */
  readonly leads: () => boolean;
  readonly clock: Clock;
  readonly config: ConfigIdentity;
  /** The status as it stands in the resource: it holds until more is known, and the times of conditions are kept. */
  readonly present: ShardConfigStatus | undefined;
}

/** Writes the status of one ShardConfig by server-side apply: conditions at once, mere figures less often. */
export class StatusWriter {
  readonly #options: StatusWriterOptions;
  #conditions: readonly Condition[];
  #written = '';
  #writtenConditions = '';
  #writtenAt = Number.NEGATIVE_INFINITY;

  constructor(options: StatusWriterOptions) {
    this.#options = options;
    this.#conditions = options.present?.conditions ?? [];
  }

  /** Whether the resource had a status before this writer's first. */
  get continues(): boolean {
    return this.#options.present !== undefined;
  }

  /**
   * Says what keeps the manager from knowing the state, and leaves everything else as it stands: what others have
   * written before is better than nothing.
   */
  async writeHold(hold: ManagerHold, signal: AbortSignal): Promise<boolean> {
    const { conditions = [], ...figures } = this.#options.present ?? {};
    const known = conditions.flatMap(({ type, status, reason, message }): DesiredCondition[] =>
      isOwn(type) ? [{ type, status, reason, message }] : [],
    );
    return this.write(figures, withHold(known, hold), signal);
  }

  /** Returns false when something is left to be written later. @throws KubernetesError */
  async write(status: ShardConfigStatus, desired: readonly DesiredCondition[], signal: AbortSignal): Promise<boolean> {
    const { client, leads: maySend, clock, config } = this.#options;
    const conditions = this.#timed(desired, status.observedGeneration);
    const full: ShardConfigStatus = { ...status, conditions };
    const content = JSON.stringify(full);
    if (content === this.#written) return true;
    const urgent = JSON.stringify(conditions) !== this.#writtenConditions;
    if (!urgent && clock.monotonic() - this.#writtenAt < QUIET_MS) return false;
    const object = {
      apiVersion: API_VERSION,
      kind: SHARD_CONFIG_KIND,
      metadata: { name: config.name, namespace: config.namespace, uid: config.uid },
      status: full,
    };
    await client.apply({ object, fieldManager: FIELD_MANAGER, force: true, subresource: 'status', signal, maySend });
    this.#written = content;
    this.#writtenConditions = JSON.stringify(conditions);
    this.#writtenAt = clock.monotonic();
    this.#conditions = conditions;
    return true;
  }

  /** Writes again at the next call even what seems to be written: at a resync. */
  forget(): void {
    this.#written = '';
    this.#writtenAt = Number.NEGATIVE_INFINITY;
  }

  #timed(desired: readonly DesiredCondition[], observedGeneration: number | undefined): Condition[] {
    const now = new Date(this.#options.clock.now()).toISOString().replace(/\.[0-9]{3}Z$/, 'Z');
    return desired.map(({ type, status, reason, message }) => {
      const before = this.#conditions.find((condition) => condition.type === type);
      return {
        type,
        status,
        reason,
        message: message.slice(0, 4096),
        lastTransitionTime: before?.status === status ? before.lastTransitionTime : now,
        ...(observedGeneration === undefined ? {} : { observedGeneration }),
      };
    });
  }
}
