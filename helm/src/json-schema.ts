import { z } from 'zod';

/** A JSON Schema, draft-07, as plain data. */
export interface JsonSchema {
  readonly [keyword: string]: unknown;
}

/** One value that has no further names below it. */
export interface Leaf {
  /** `manager.image.tag` */
  readonly path: string;
  readonly type: string;
  readonly initial: unknown;
  readonly description: string;
}

/** Helm checks values against draft-07, in every version. Keywords of Kubernetes mean nothing to it. */
export function jsonSchemaOf(schema: z.ZodType): JsonSchema {
  const json: unknown = z.toJSONSchema(schema, {
    target: 'draft-7',
    io: 'input',
    reused: 'inline',
    unrepresentable: 'any',
  });
  if (!isSchema(json)) throw new Error('a schema of values must be an object');
  return strict(json);
}

/** Objects with names of their own refuse others; `global` and what is passed on to the API server say that they do not. */
function strict(node: JsonSchema): JsonSchema {
  const kept = Object.entries(node).flatMap(([keyword, value]): [string, unknown][] => {
    if (keyword.startsWith('x-kubernetes-')) return [];
    if (keyword === 'properties' && isSchema(value)) return [[keyword, mapped(value)]];
    if (keyword === 'anyOf' && Array.isArray(value)) return [[keyword, value.filter(isSchema).map(strict)]];
    if ((keyword === 'items' || keyword === 'additionalProperties') && isSchema(value))
      return [[keyword, strict(value)]];
    return [[keyword, value]];
  });
  const isClosed =
    node['type'] === 'object' && isSchema(node['properties']) && Object.keys(node['properties']).length > 0;
  return Object.fromEntries(
    isClosed && node['additionalProperties'] === undefined ? [...kept, ['additionalProperties', false]] : kept,
  );
}

const mapped = (nodes: JsonSchema): JsonSchema =>
  Object.fromEntries(Object.entries(nodes).map(([name, child]) => [name, isSchema(child) ? strict(child) : child]));

/** A group has names below it that stand in values.yaml. The spec of a ShardConfig has its own defaults in the API. */
export function groupOf(path: string, node: JsonSchema): JsonSchema | undefined {
  const { properties } = node;
  if (!isSchema(properties) || Object.keys(properties).length === 0 || path === 'shardConfig.spec') return undefined;
  return properties;
}

export function leavesOf(node: JsonSchema, path = ''): readonly Leaf[] {
  return Object.entries(groupOf(path, node) ?? {}).flatMap(([name, child]) => {
    if (!isSchema(child)) return [];
    const own = path === '' ? name : `${path}.${name}`;
    if (groupOf(own, child) !== undefined) return leavesOf(child, own);
    return [
      {
        path: own,
        type: typeOf(child),
        initial: initialOf(own, child),
        description: descriptionOf(child),
      },
    ];
  });
}

export const initialOf = (path: string, node: JsonSchema): unknown =>
  path === 'shardConfig.spec' ? {} : node['default'];

function typeOf(node: JsonSchema): string {
  const { enum: names, anyOf, type, items, additionalProperties } = node;
  if (Array.isArray(names)) return names.map((name) => `\`${JSON.stringify(name)}\``).join(', ');
  if (node['const'] !== undefined) return `\`${JSON.stringify(node['const'])}\``;
  if (Array.isArray(anyOf)) return anyOf.filter(isSchema).map(typeOf).join(' or ');
  if (type === 'array') return `list of ${isSchema(items) ? typeOf(items) : 'any'}`;
  if (type === 'object' && isSchema(additionalProperties) && additionalProperties['type'] !== undefined) {
    return `map to ${typeOf(additionalProperties)}`;
  }
  return typeof type === 'string' ? type : 'any';
}

export function descriptionOf({ description }: JsonSchema): string {
  return typeof description === 'string' ? description : '';
}

export function isSchema(value: unknown): value is JsonSchema {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
