import { z } from 'zod';

/**
 * From zod to the structural OpenAPI schema of a CustomResourceDefinition. zod's JSON Schema is nearly that; this pass
 * rewrites what differs and refuses what Kubernetes would refuse or estimate as unbounded, with the JSON path.
 * Rules: https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/
 */

/** An OpenAPI v3 schema as plain data. */
export type SchemaNode = { readonly [keyword: string]: unknown };

/** A zod schema says something that a CRD cannot. @remedy change the schema in `packages/shared/src/api`. */
export class StructuralSchemaError extends Error {
  readonly code = 'SC_STRUCTURAL_SCHEMA';
  override readonly name = 'StructuralSchemaError';
  /** Where, `spec.exporter.image`, items as `[]` and map values as `{}`. */
  readonly path: string;
  constructor(path: string, problem: string) {
    super(`${path === '' ? '(root)' : path}: ${problem}`);
    this.path = path;
  }
}

/** @throws StructuralSchemaError for the first thing that a CRD cannot say */
export function structuralSchema(schema: z.ZodType, path = ''): SchemaNode {
  const json: unknown = z.toJSONSchema(schema, {
    target: 'openapi-3.0',
    io: 'input',
    reused: 'inline',
    cycles: 'throw',
    unrepresentable: 'throw',
  });
  return structural(json, path);
}

/** Keywords that pass as they are, in the order in which they are written. */
const KEYWORDS = [
  'description',
  'type',
  'format',
  'nullable',
  'default',
  'enum',
  'minimum',
  'exclusiveMinimum',
  'maximum',
  'exclusiveMaximum',
  'multipleOf',
  'minLength',
  'maxLength',
  'pattern',
  'minItems',
  'maxItems',
  'minProperties',
  'maxProperties',
  'required',
  'properties',
  'items',
  'additionalProperties',
  'x-kubernetes-int-or-string',
  'x-kubernetes-preserve-unknown-fields',
  'x-kubernetes-list-type',
  'x-kubernetes-list-map-keys',
  'x-kubernetes-map-type',
  'x-kubernetes-validations',
] as const;

const KNOWN: ReadonlySet<string> = new Set(KEYWORDS);

/** The walk itself, over the output of `z.toJSONSchema`. */
export function structural(json: unknown, path = ''): SchemaNode {
  if (!isNode(json)) throw new StructuralSchemaError(path, 'a schema must be an object');
  const { $schema: _dialect, ...node } = json;
  const isIntOrString = node['x-kubernetes-int-or-string'] === true;
  for (const keyword of Object.keys(node)) {
    if (KNOWN.has(keyword) || (keyword === 'anyOf' && isIntOrString)) continue;
    throw new StructuralSchemaError(path, `${keyword} is not allowed in a structural schema${remedy(keyword)}`);
  }
  return ordered(isIntOrString ? intOrString(node, path) : rewritten(node, path));
}

function remedy(keyword: string): string {
  switch (keyword) {
    case 'oneOf':
    case 'anyOf':
    case 'allOf':
      return ': use optional members and a rule that says which belong together';
    case '$ref':
    case '$defs':
      return ': inline the schema, recursion is impossible';
    default:
      return '';
  }
}

function rewritten(node: SchemaNode, path: string): SchemaNode {
  switch (node['type']) {
    case 'object':
      return object(node, path);
    case 'array':
      return array(node, path);
    case 'string':
      return string(node, path);
    case 'integer':
    case 'number':
      return number(node, path);
    case 'boolean':
      return node;
    default:
      throw new StructuralSchemaError(path, `needs one type of object, array, string, integer, number or boolean`);
  }
}

function intOrString(node: SchemaNode, path: string): SchemaNode {
  const { anyOf: _alternatives, type: _type, ...rest } = node;
  if (rest['maxLength'] === undefined) throw new StructuralSchemaError(path, 'needs maxLength');
  return rest;
}

function object(node: SchemaNode, path: string): SchemaNode {
  const { properties, additionalProperties, ...rest } = node;
  const named = isNode(properties) ? Object.entries(properties) : [];
  if (named.length > 0) {
    if (additionalProperties !== undefined) {
      throw new StructuralSchemaError(path, 'additionalProperties is not allowed beside properties: use z.object');
    }
    const children = named.map(([name, child]) => [name, structural(child, join(path, name))] as const);
    checkRequired(node, new Set(named.map(([name]) => name)), path);
    return { ...rest, properties: Object.fromEntries(children) };
  }
  if (isNode(additionalProperties) && Object.keys(additionalProperties).length > 0) {
    if (rest['maxProperties'] === undefined) throw new StructuralSchemaError(path, 'needs maxProperties');
    return { ...rest, additionalProperties: structural(additionalProperties, `${path}{}`) };
  }
  if (additionalProperties === false) {
    throw new StructuralSchemaError(path, 'additionalProperties: false is not allowed: use z.object');
  }
  if (isNode(additionalProperties)) return { ...rest, 'x-kubernetes-preserve-unknown-fields': true };
  return rest;
}

function checkRequired(node: SchemaNode, names: ReadonlySet<string>, path: string): void {
  const { required } = node;
  if (required === undefined) return;
  for (const name of strings(required)) {
    if (!names.has(name)) throw new StructuralSchemaError(path, `required names ${name}, which is not a property`);
  }
}

function array(node: SchemaNode, path: string): SchemaNode {
  if (node['maxItems'] === undefined) throw new StructuralSchemaError(path, 'needs maxItems');
  if (!isNode(node['items'])) throw new StructuralSchemaError(path, 'needs one schema for its items');
  const items = structural(node['items'], `${path}[]`);
  if (node['x-kubernetes-list-type'] === 'map') checkListMap(node, items, path);
  return { ...node, items };
}

/** Keys must be there in each item, or two items could not be told apart. */
function checkListMap(node: SchemaNode, items: SchemaNode, path: string): void {
  const keys = strings(node['x-kubernetes-list-map-keys']);
  if (keys.length === 0) throw new StructuralSchemaError(path, 'a list of type map needs x-kubernetes-list-map-keys');
  const required = new Set(strings(items['required']));
  const properties = isNode(items['properties']) ? items['properties'] : {};
  for (const key of keys) {
    const property = properties[key];
    const hasDefault = isNode(property) && property['default'] !== undefined;
    if (!required.has(key) && !hasDefault) {
      throw new StructuralSchemaError(`${path}[]`, `list map key ${key} must be required or have a default`);
    }
  }
}

function string(node: SchemaNode, path: string): SchemaNode {
  if (node['format'] === 'date-time') {
    // The API server checks the format itself, and knows its longest value.
    const { pattern: _pattern, ...rest } = node;
    return rest;
  }
  if (node['enum'] === undefined && node['maxLength'] === undefined) {
    throw new StructuralSchemaError(path, 'needs maxLength or an enum');
  }
  return node;
}

const INT32_MAX = 2 ** 31 - 1;

function number(node: SchemaNode, path: string): SchemaNode {
  const { minimum, maximum } = node;
  if (typeof minimum !== 'number' || minimum === Number.MIN_SAFE_INTEGER) {
    throw new StructuralSchemaError(path, 'needs a minimum');
  }
  if (typeof maximum !== 'number') throw new StructuralSchemaError(path, 'needs a maximum');
  if (node['type'] === 'number') return node;
  return { ...node, format: maximum <= INT32_MAX && minimum >= -INT32_MAX ? 'int32' : 'int64' };
}

function ordered(node: SchemaNode): SchemaNode {
  const known = KEYWORDS.filter((keyword) => node[keyword] !== undefined).map((keyword) => [keyword, node[keyword]]);
  return Object.fromEntries(known);
}

const join = (path: string, name: string): string => (path === '' ? name : `${path}.${name}`);

export function isNode(value: unknown): value is SchemaNode {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function strings(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];
}
