import {
  type DecisionTable,
  decisionTable,
  type ObservedConfig,
  ordinalOf,
  recoverShards,
  type ShardConfigState,
  type ShardEvent,
  type ShardInstanceClaim,
  SURGE_ORDINAL,
  type TableConfig,
  type View,
} from '../aggregate/index.ts';
import { isStrategy, unknownStrategyText } from '../load-balancer/index.ts';
import { bandOf, clamp, loadScalingHold, shardsAbove, shardsBelow, steadyLoad } from './scaling.ts';

/** EVALUATE: look whether the number of shards is right. The others bring what changed. */
export type ConfigTrigger =
  | { readonly type: 'EVALUATE' }
  | { readonly type: 'CONFIG_DELETED' }
  | { readonly type: 'CONFIG_OBSERVED'; readonly config: ObservedConfig; readonly isRestored: boolean }
  | {
      readonly type: 'CONFIG_INVALID';
      readonly specGeneration: number;
      readonly problems: readonly string[];
      readonly isRestored: boolean;
    }
  | {
      readonly type: 'LOG_LOST';
      readonly config: ObservedConfig;
      readonly generation: number;
      readonly instances: readonly ShardInstanceClaim[];
      readonly reason: string;
    };

/** `view` is undefined before the first accepted config. */
interface ConfigContext {
  readonly state: ShardConfigState;
  readonly now: number;
  readonly view: View | undefined;
}

export type ConfigTable = DecisionTable<ConfigContext, ConfigTrigger, ShardEvent>;

const rejections = {
  CONFIG_INVALID: [{ guard: 'problemIsNews', actions: 'reject' }],
};

const config: TableConfig = {
  id: 'orchestrator',
  initial: 'New',
  states: {
    New: {
      on: {
        ...rejections,
        CONFIG_OBSERVED: [
          { guard: 'isUsable', target: 'Active', actions: 'accept' },
          { guard: 'problemIsNews', actions: 'reject' },
        ],
        LOG_LOST: [{ guard: 'isUsable', target: 'Active', actions: 'recover' }],
      },
    },
    Active: {
      on: {
        ...rejections,
        CONFIG_OBSERVED: [
          { guard: 'isUsableNews', actions: 'accept' },
          { guard: 'problemIsNews', actions: 'reject' },
        ],
        LOG_LOST: [{ guard: 'isUsable', actions: 'recover' }],
        CONFIG_DELETED: [{ target: 'Deleted', actions: 'delete' }],
        EVALUATE: [
          { guard: 'isFirst', actions: 'scaleFirst' },
          { guard: 'belowMinimum', actions: 'scaleToMinimum' },
          { guard: 'aboveMaximum', actions: 'scaleToMaximum' },
          { guard: 'manualDiffers', actions: 'scaleAsTold' },
          { guard: 'bandChanged', actions: 'noteBand' },
          { guard: 'loadScalingDue', actions: 'scaleByLoad' },
        ],
      },
    },
    // Its ShardConfig is there again, with the same uid: a backup was restored.
    Deleted: { on: { LOG_LOST: [{ guard: 'isUsable', target: 'Active', actions: 'recover' }] } },
  },
};

export const configTable: ConfigTable = decisionTable<ConfigContext, ConfigTrigger, ShardEvent>(config, {
  guards: {
    isUsable: ({ state }, trigger) => problemsOf(state, trigger).length === 0,
    isUsableNews: ({ state }, trigger) =>
      trigger.type === 'CONFIG_OBSERVED' &&
      problemsOf(state, trigger).length === 0 &&
      (trigger.isRestored || trigger.config.specGeneration >= state.specGeneration) &&
      isNews(state, trigger.config),
    problemIsNews: ({ state }, trigger) => {
      if (problemsOf(state, trigger).length === 0) return false;
      const [generation, before] = [specGenerationOf(trigger), state.rejected?.specGeneration ?? -1];
      return generation > before || (isRestored(trigger) && generation !== before);
    },
    isFirst: ({ state }) => state.desiredShards === 0,
    belowMinimum: ({ view }) =>
      view !== undefined && view.settings.mode !== 'Paused' && view.state.desiredShards < view.settings.minShards,
    aboveMaximum: ({ view }) =>
      view !== undefined && view.settings.mode !== 'Paused' && view.state.desiredShards > view.settings.maxShards,
    manualDiffers: ({ view }) =>
      view !== undefined && view.settings.mode === 'Manual' && told(view) !== view.state.desiredShards,
    bandChanged: ({ view }) => view !== undefined && newBand(view) !== undefined,
    loadScalingDue: ({ view }) =>
      view !== undefined &&
      view.settings.mode === 'Auto' &&
      view.state.scaling.band !== 'within' &&
      loadScalingHold(view) === undefined,
  },
  decisions: {
    accept: ({ now }, trigger) =>
      trigger.type === 'CONFIG_OBSERVED' ? [{ type: 'shard.config.accepted.v1', at: now, ...trigger.config }] : [],
    reject: ({ state, now }, trigger) => [
      {
        type: 'shard.config.rejected.v1',
        at: now,
        specGeneration: specGenerationOf(trigger),
        problems: problemsOf(state, trigger),
      },
    ],
    delete: ({ now }) => [{ type: 'shard.config.deleted.v1', at: now }],
    recover: ({ now }, trigger) => (trigger.type === 'LOG_LOST' ? [recovered(now, trigger)] : []),
    scaleFirst: ({ view }) =>
      view === undefined
        ? []
        : [
            scaled(
              view,
              view.settings.mode === 'Manual' ? told(view) : view.settings.minShards,
              'initial',
              'first shards',
            ),
          ],
    scaleToMinimum: ({ view }) =>
      view === undefined
        ? []
        : [scaled(view, view.settings.minShards, 'minimum', `minShards is ${view.settings.minShards}`)],
    scaleToMaximum: ({ view }) =>
      view === undefined
        ? []
        : [scaled(view, view.settings.maxShards, 'maximum', `maxShards is ${view.settings.maxShards}`)],
    scaleAsTold: ({ view }) =>
      view === undefined
        ? []
        : [scaled(view, told(view), 'manual', `spec.shards is ${view.settings.shards ?? 'unset'}`)],
    noteBand: ({ view }) => {
      const change = view === undefined ? undefined : newBand(view);
      return view === undefined || change === undefined
        ? []
        : [{ type: 'shard.load.crossed.v1', at: view.now, ...change }];
    },
    scaleByLoad: ({ view }) => (view === undefined ? [] : scaledByLoad(view)),
  },
});

/** State of the table that the aggregate is in. */
export function configStateOf({ deleted, settings }: ShardConfigState): string {
  if (deleted) return 'Deleted';
  return settings === null ? 'New' : 'Active';
}

const told = ({ settings, state }: View): number => clamp(settings.shards ?? state.desiredShards, settings);

function newBand(view: View): { readonly band: ReturnType<typeof bandOf>; readonly load: number } | undefined {
  const load = view.settings.mode === 'Auto' ? steadyLoad(view) : undefined;
  if (load === undefined) return undefined;
  const before = view.state.scaling.band;
  const band = bandOf(load, view.settings, before);
  return band === before ? undefined : { band, load };
}

function scaledByLoad(view: View): readonly ShardEvent[] {
  const load = steadyLoad(view);
  if (load === undefined) return [];
  const { scaleUpThreshold, scaleDownThreshold } = view.settings;
  const up = view.state.scaling.band === 'above';
  const to = up ? shardsAbove(view, load) : shardsBelow(view, load);
  const side = up ? `above ${scaleUpThreshold}` : `below ${scaleDownThreshold}`;
  return [scaled(view, to, 'load', `load ${load.toFixed(2)} was ${side} for long enough`, load)];
}

type ScalingTrigger = Extract<ShardEvent, { type: 'shard.scaled.v1' }>['trigger'];

function scaled({ state, now }: View, to: number, trigger: ScalingTrigger, reason: string, load?: number): ShardEvent {
  return {
    type: 'shard.scaled.v1',
    at: now,
    from: state.desiredShards,
    to,
    trigger,
    ...(load === undefined ? {} : { load }),
    reason,
  };
}

const isRestored = (trigger: ConfigTrigger): boolean => 'isRestored' in trigger && trigger.isRestored;

function isNews(state: ShardConfigState, { specGeneration, settings, revision }: ObservedConfig): boolean {
  return (
    specGeneration !== state.specGeneration ||
    revision !== state.revision ||
    JSON.stringify(settings) !== JSON.stringify(state.settings)
  );
}

/** Everything that makes a spec unusable, in words for its author. */
function problemsOf(state: ShardConfigState, trigger: ConfigTrigger): string[] {
  if (trigger.type === 'CONFIG_INVALID') return [...trigger.problems];
  if (trigger.type !== 'CONFIG_OBSERVED' && trigger.type !== 'LOG_LOST') return [];
  const { settings } = trigger.config;
  const problems: string[] = [];
  if (!isStrategy(settings.strategy)) problems.push(unknownStrategyText(settings.strategy));
  if (settings.minShards > settings.maxShards) {
    problems.push(`spec.minShards ${settings.minShards} is larger than spec.maxShards ${settings.maxShards}`);
  }
  if (settings.scaleDownThreshold >= settings.scaleUpThreshold) {
    problems.push(`spec.scaleDownThreshold must be below spec.scaleUpThreshold ${settings.scaleUpThreshold}`);
  }
  const before = state.settings;
  if (trigger.type === 'LOG_LOST' || before === null) return problems;
  if (settings.slotCount !== before.slotCount) problems.push(`spec.slots is immutable: it is ${before.slotCount}`);
  if (settings.shardBy !== before.shardBy) problems.push(`spec.shardBy is immutable: it is ${before.shardBy}`);
  return problems;
}

function specGenerationOf(trigger: ConfigTrigger): number {
  if (trigger.type === 'CONFIG_OBSERVED' || trigger.type === 'LOG_LOST') return trigger.config.specGeneration;
  return trigger.type === 'CONFIG_INVALID' ? trigger.specGeneration : 0;
}

function recovered(now: number, trigger: Extract<ConfigTrigger, { type: 'LOG_LOST' }>): ShardEvent {
  const { config: observed, generation, instances, reason } = trigger;
  const regular = instances.map(({ shardId }) => ordinalOf(shardId)).filter((ordinal) => ordinal < SURGE_ORDINAL);
  const highest = Math.max(-1, ...regular);
  return {
    type: 'shard.log.recovered.v1',
    at: now,
    ...observed,
    generation,
    desiredShards: Math.max(1, highest + 1),
    shards: recoverShards(instances).map(({ shardId, owned, stale, active }, i) => ({
      shardId,
      owned: [...owned],
      stale: [...stale],
      release: `g${generation}-r${i + 1}`,
      releaseWhen: 'shown',
      ...(active === 'a' ? {} : { active }),
    })),
    reason,
  };
}
