import { AnnotationFilter } from './annotation-filter.ts';
import type { CustomResourceKind, ExporterDiet } from '../data-plane/data-plane.ts';
import { Diet } from './diet.ts';
import type { DietRules } from './diet-rules.ts';
import { readAnnotations } from './exporter-annotations.ts';
import type { FeedKey } from '../upstream/collection-key.ts';
import type { ObjectKind } from '../wire/frame-codec.ts';
import type { WireEncoding } from '../wire/frame-view.ts';

const ALL = '*';

/** Secret{data=2, stringData=4} and ConfigMap{data=2, binaryData=3} (api: core/v1/generated.proto). */
const DATA: Readonly<Record<string, { readonly fields: readonly number[]; readonly keys: readonly string[] }>> = {
  secrets: { fields: [2, 4], keys: ['data', 'stringData'] },
  configmaps: { fields: [2, 3], keys: ['data', 'binaryData'] },
};

/** The diet of a feed's objects; undefined when nothing may be cut from them. */
export function exporterDiet(
  exporter: ExporterDiet,
  customResources: readonly CustomResourceKind[],
  key: Pick<FeedKey, 'group' | 'resource'>,
  kind: ObjectKind,
  encoding: WireEncoding,
): Diet | undefined {
  // A custom-resource-state config may read any path of the kinds it names.
  const isNamed = customResources.some(
    (each) => each.group === key.group && (each.kind === ALL || each.kind === kind.kind),
  );
  return isNamed ? undefined : new Diet(rulesOf(exporter, key), kind, encoding);
}

function rulesOf(exporter: ExporterDiet, { group, resource }: Pick<FeedKey, 'group' | 'resource'>): DietRules {
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
