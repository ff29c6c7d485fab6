import type { AnnotationFilter } from './annotation-filter.ts';

/** What is left out of the objects of one kind, beside `managedFields`. */
export interface PruningRules {
  /** Annotations that stay; all when undefined. */
  readonly annotations: AnnotationFilter | undefined;
  /** Fields beside the metadata that go: numbers in protobuf, keys in JSON. */
  readonly dataFields: readonly number[];
  readonly dataKeys: readonly Uint8Array[];
}
