import type { z } from 'zod';
import { type KsmScale, ksmScaleSchema, withoutZeros } from './ksm-scale.ts';
import { type ShardConfig, shardConfigSchema } from './shard-config.ts';
import { type ShardInstance, shardInstanceSchema } from './shard-instance.ts';

/** A checked value, or everything that is wrong with it, each as `path: message`. */
export type Parsed<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly problems: readonly string[] };

function pathText(path: readonly PropertyKey[]): string {
  let text = '';
  for (const key of path) {
    if (typeof key === 'number') text += `[${key}]`;
    else text += text === '' ? String(key) : `.${String(key)}`;
  }
  return text === '' ? '(object)' : text;
}

function parseWith<S extends z.ZodType>(schema: S, raw: unknown): Parsed<z.output<S>> {
  const result = schema.safeParse(raw);
  if (result.success) return { ok: true, value: result.data };
  return { ok: false, problems: result.error.issues.map((issue) => `${pathText(issue.path)}: ${issue.message}`) };
}

/** A ShardConfig as the API server sends it. Never throws. */
export const parseShardConfig = (raw: unknown): Parsed<ShardConfig> => parseWith(shardConfigSchema, raw);

/** A ShardInstance as the API server sends it. Never throws. */
export const parseShardInstance = (raw: unknown): Parsed<ShardInstance> => parseWith(shardInstanceSchema, raw);

/** A KSMScale as the API server sends it, whichever schema took it. Never throws. */
export const parseKsmScale = (raw: unknown): Parsed<KsmScale> => parseWith(ksmScaleSchema, withoutZeros(raw));
