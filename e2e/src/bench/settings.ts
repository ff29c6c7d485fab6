import { env, parseConfig } from '@shard-controller/shared/runtime';
import { z } from 'zod';

/** Parts of the run, in the order in which they run. */
export const ARMS = [
  'plain',
  'autosharded',
  'ours',
  'pushdown',
  'single',
  'resize-autosharded',
  'resize-ours',
  'moves',
  'worker',
  'filter',
] as const;

export type Arm = (typeof ARMS)[number];

const arms = () =>
  env
    .text(`some of ${ARMS.join(', ')}, separated by commas`)
    .default(ARMS.join(','))
    .transform((value, context): readonly Arm[] => {
      const names = value.split(',').map((name) => name.trim());
      const unknown = names.filter((name) => !ARMS.some((arm) => arm === name));
      if (unknown.length > 0) context.addIssue(`expected some of ${ARMS.join(', ')}, separated by commas`);
      return ARMS.filter((arm) => names.includes(arm));
    });

const settingsSchema = z.object({
  /** Objects of all kinds, two thirds of them pods. */
  BENCH_OBJECTS: env.integer(100, 200_000).default(20_000),
  /** Changes a second while a steady state or a resize is measured. */
  BENCH_CHURN: env.integer(0, 1000).default(200),
  BENCH_SEED: env.integer(0, 4_294_967_295).default(1),
  /** Length of each steady state, s. */
  BENCH_SECONDS: env.integer(2, 3600).default(120),
  BENCH_ARMS: arms(),
  /** File for all figures, as JSON; default: a new one in .cache/bench. */
  BENCH_OUTPUT: env.text('a path').optional(),
});

export interface Settings {
  readonly objects: number;
  readonly churn: number;
  readonly seed: number;
  readonly seconds: number;
  readonly arms: readonly Arm[];
  readonly output: string | undefined;
}

/** @throws ConfigError naming every variable that is wrong */
export function loadSettings(environment: Readonly<Record<string, string | undefined>>): Settings {
  const given = parseConfig(settingsSchema, environment);
  return {
    objects: given.BENCH_OBJECTS,
    churn: given.BENCH_CHURN,
    seed: given.BENCH_SEED,
    seconds: given.BENCH_SECONDS,
    arms: given.BENCH_ARMS,
    output: given.BENCH_OUTPUT,
  };
}
