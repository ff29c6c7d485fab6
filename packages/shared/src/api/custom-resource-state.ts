import { parseAllDocuments } from 'yaml';
import { z } from 'zod';
import { errorMessage } from '../runtime/index.ts';

/** A kind of custom resources, or with kind `*` all kinds of its group. */
export interface CustomResourceKind {
  readonly kind: string;
  readonly group: string;
}

/** The kinds that a custom-resource-state configuration names, or everything that is wrong with it. */
export type CustomResourceState =
  | { readonly ok: true; readonly kinds: readonly CustomResourceKind[] }
  | { readonly ok: false; readonly problems: readonly string[] };

/** Bytes that fit into one argument of a process (Linux: 128 KiB), the name of the flag set aside. */
const MAX_BYTES = 131_000;

const group = z
  .string()
  .regex(/^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/, 'expected the name of an API group, like example.com');
const kind = z.string().regex(/^(\*|[A-Za-z][-A-Za-z0-9]{0,62})?$/, 'expected the name of a kind, or "*" for all');

/** Only what the worker has to know; kube-state-metrics itself judges the rest. */
const configuration = z.object({
  spec: z.object({
    resources: z.array(z.object({ groupVersionKind: z.object({ group, kind: kind.nullish() }) })),
  }),
});

/**
 * Reads the kinds out of kube-state-metrics' CustomResourceStateMetrics, each one once. As there, only the first
 * document counts, and a kind that is left out means all kinds (`ResolveGVKToGVKPs` of its package discovery). Never
 * throws.
 */
export function readCustomResourceState(text: string): CustomResourceState {
  const bytes = Buffer.byteLength(text);
  if (bytes > MAX_BYTES) return refused(`is ${bytes} bytes long; kube-state-metrics can be given ${MAX_BYTES}`);
  const yaml = parseYaml(text);
  if (!yaml.ok) return yaml;
  const { success, data, error } = configuration.safeParse(yaml.value);
  if (!success) return refused(...error.issues.map(({ path, message }) => `${pathText(path)}: ${message}`));
  const kinds = data.spec.resources.map(({ groupVersionKind: { group: name, kind: wanted } }) => ({
    kind: wanted || '*',
    group: name,
  }));
  const named = new Map(kinds.map((found) => [`${found.kind}.${found.group}`, found]));
  return { ok: true, kinds: [...named.values()] };
}

const refused = (...problems: readonly string[]) => ({ ok: false, problems }) as const;

type Yaml = { readonly ok: true; readonly value: unknown } | Extract<CustomResourceState, { ok: false }>;

function parseYaml(text: string): Yaml {
  // Not strict, and with merge keys: what kube-state-metrics' parser takes must not be refused here.
  const [document] = parseAllDocuments(text, { strict: false, merge: true });
  if (document === undefined) return refused('is empty');
  const [error] = document.errors;
  if (error !== undefined) return refused(`is not YAML: ${firstLine(error)}`);
  try {
    return { ok: true, value: document.toJS() };
  } catch (cause) {
    // More aliases than any honest text has.
    return refused(`is not YAML: ${firstLine(cause)}`);
  }
}

/** Without the excerpt of the text that follows. */
const firstLine = (error: unknown): string => errorMessage(error).split('\n', 1)[0]?.replace(/:$/, '') ?? '';

const pathText = (path: readonly PropertyKey[]): string =>
  path.length === 0
    ? '(document)'
    : path.map((key, i) => (typeof key === 'number' ? `[${key}]` : `${i === 0 ? '' : '.'}${String(key)}`)).join('');
