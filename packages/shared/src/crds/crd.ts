import type { z } from 'zod';
import { isNode, type SchemaNode, structuralSchema, StructuralSchemaError } from './structural-schema.ts';

/** A column of `kubectl get`. */
export interface PrinterColumn {
  readonly name: string;
  readonly type: 'string' | 'integer' | 'number' | 'boolean' | 'date';
  readonly jsonPath: string;
  readonly description?: string;
  /** 1 shows the column in `kubectl get -o wide` only. */
  readonly priority?: 0 | 1;
}

/** Schema of a whole object of a custom resource. */
type ObjectSchema = z.ZodType & { readonly shape: { readonly spec: z.ZodType; readonly status: z.ZodType } };

export interface CrdDefinition {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly plural: string;
  readonly shortNames: readonly string[];
  readonly categories: readonly string[];
  /** Default Namespaced. */
  readonly scope?: 'Namespaced' | 'Cluster';
  /** The whole object: apiVersion, kind, metadata, spec, status; its rules may read `self.metadata.name`. */
  readonly schema: ObjectSchema;
  readonly columns: readonly PrinterColumn[];
  readonly scale?: {
    readonly specReplicasPath: string;
    readonly statusReplicasPath: string;
    readonly labelSelectorPath: string;
  };
}

/** What the API server defines itself; metadata has a schema of its own that a CRD must not repeat. */
const STANDARD_FIELDS = {
  apiVersion: {
    description: 'Version of the schema of this object.',
    type: 'string',
  },
  kind: { description: 'Kind of this object.', type: 'string' },
  metadata: { type: 'object' },
} as const;

/**
 * The CustomResourceDefinition as plain data.
 *
 * @throws StructuralSchemaError for a schema that a CRD cannot have, or a path that leads nowhere
 */
export function customResourceDefinition(definition: CrdDefinition): SchemaNode {
  const { group, version, kind, plural, schema, columns, scale } = definition;
  const openAPIV3Schema = objectSchema(schema);
  for (const { jsonPath } of columns) checkPath(openAPIV3Schema, jsonPath);
  for (const path of Object.values(scale ?? {})) checkPath(openAPIV3Schema, path);
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${group}` },
    spec: {
      group,
      scope: definition.scope ?? 'Namespaced',
      names: {
        kind,
        listKind: `${kind}List`,
        plural,
        singular: kind.toLowerCase(),
        shortNames: definition.shortNames,
        categories: definition.categories,
      },
      versions: [
        {
          name: version,
          served: true,
          storage: true,
          subresources: { status: {}, ...(scale === undefined ? {} : { scale }) },
          additionalPrinterColumns: columns,
          schema: { openAPIV3Schema },
        },
      ],
    },
  };
}

function objectSchema(schema: ObjectSchema): SchemaNode {
  const { spec, status } = schema.shape;
  // Read from the metadata, because the object's own schema would bring in that of metadata.
  const { description, 'x-kubernetes-validations': rules } = schema.meta() ?? {};
  return {
    ...(description === undefined ? {} : { description }),
    type: 'object',
    required: ['spec'],
    properties: {
      ...STANDARD_FIELDS,
      spec: structuralSchema(spec, 'spec'),
      status: structuralSchema(status, 'status'),
    },
    ...(rules === undefined ? {} : { 'x-kubernetes-validations': rules }),
  };
}

/** Metadata that a column may show; the CRD's schema does not describe it. */
const METADATA_PATHS: ReadonlySet<string> = new Set(['.metadata.name', '.metadata.creationTimestamp']);

const STEP = /\.([A-Za-z0-9_-]+)(?:\[\?\(@\.([A-Za-z0-9_-]+)==["'][^"']*["']\)\])?/gy;

/**
 * Follows a JSON path of the form `.a.b[?(@.type=="Ready")].c` through a schema.
 *
 * @throws StructuralSchemaError when a step is no property: kubectl would silently show nothing
 */
function checkPath(schema: SchemaNode, jsonPath: string): void {
  if (METADATA_PATHS.has(jsonPath)) return;
  let node: SchemaNode = schema;
  let length = 0;
  for (const [step, name = '', filtered] of jsonPath.matchAll(STEP)) {
    node = property(node, name, jsonPath);
    if (filtered !== undefined) {
      if (!isNode(node['items'])) throw new StructuralSchemaError(jsonPath, `${name} is not a list`);
      node = node['items'];
      property(node, filtered, jsonPath);
    }
    length += step.length;
  }
  if (length === 0 || length !== jsonPath.length)
    throw new StructuralSchemaError(jsonPath, 'is not a path of this form');
}

function property(node: SchemaNode, name: string, jsonPath: string): SchemaNode {
  const child = isNode(node['properties']) ? node['properties'][name] : undefined;
  if (!isNode(child)) throw new StructuralSchemaError(jsonPath, `the schema has no ${name} there`);
  return child;
}
