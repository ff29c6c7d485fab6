import type { ObjectKind, WireEncoding } from '../wire/index.ts';
import { AnnotationFilter } from './annotation-filter.ts';
import type { PruningRules } from './pruning-rules.ts';
import { Pruner } from './pruner.ts';
import { readAnnotations } from './exporter-annotations.ts';

const ALL = '*';

interface GroupResource {
  readonly group: string;
  readonly resource: string;
}

/** Secret{data=2, stringData=4} and ConfigMap{data=2, binaryData=3} (api: core/v1/generated.proto). */
const DATA: Readonly<Record<string, { readonly fields: readonly number[]; readonly keys: readonly string[] }>> = {
  secrets: { fields: [2, 4], keys: ['data', 'stringData'] },
  configmaps: { fields: [2, 3], keys: ['data', 'binaryData'] },
};

/** What decides which parts of its objects the exporter never reads. */
export interface ExporterPruning {
  /** Version of kube-state-metrics, `2.20.0`; undefined when unknown: then little is pruned. */
  readonly version: string | undefined;
  /** Its `--metric-annotations-allowlist`: annotation keys by resource, `*` for all of either. */
  readonly annotationAllowList: ReadonlyMap<string, readonly string[]>;
}

/** A kind that the exporter's custom-resource-state config names; `*` is any kind of the group. */
export interface CustomResourceKind {
  readonly group: string;
  readonly kind: string;
}

/** The pruner of a feed's objects; undefined when nothing may be left out of them. */
export function prunerFor(
  exporter: ExporterPruning,
  customResources: readonly CustomResourceKind[],
  key: GroupResource,
  kind: ObjectKind,
  encoding: WireEncoding,
): Pruner | undefined {
  // A custom-resource-state config may read any path of the kinds it names.
  const isNamed = customResources.some(
    (each) => each.group === key.group && (each.kind === ALL || each.kind === kind.kind),
  );
  return isNamed ? undefined : new Pruner(rulesOf(exporter, key), kind, encoding);
}

function rulesOf(exporter: ExporterPruning, { group, resource }: GroupResource): PruningRules {
  const read = readAnnotations(exporter.version, group, resource);
  if (read === undefined) return { annotations: undefined, dataFields: [], dataKeys: [] };
  const data = group === '' ? DATA[resource] : undefined;
  const { annotationAllowList: list } = exporter;
  const allowed = [...(list.get(resource) ?? []), ...(list.get(ALL) ?? [])];
  return {
    annotations: allowed.includes(ALL) ? undefined : new AnnotationFilter([...read, ...allowed]),
    dataFields: data?.fields ?? [],
    dataKeys: data?.keys.map((name) => Buffer.from(name)) ?? [],
  };
}
