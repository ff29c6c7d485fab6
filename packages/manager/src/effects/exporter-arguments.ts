import type { ShardConfigSpec } from '@shard-controller/shared/api';

type Exporter = ShardConfigSpec['exporter'];

/** Command line of kube-state-metrics beside a worker. What the system relies on comes last and so always wins. */
export function exporterArguments(exporter: Exporter): string[] {
  return [
    ...(exporter.extraArgs ?? []),
    ...list('resources', exporter.resources),
    ...list('metric-labels-allowlist', allowlist(exporter.labelsAllowlist)),
    ...list('metric-annotations-allowlist', allowlist(exporter.annotationsAllowlist)),
    ...(exporter.customResourceState === undefined
      ? []
      : [`--custom-resource-state-config=${exporter.customResourceState}`]),
    '--apiserver=http://127.0.0.1:8084',
    '--host=0.0.0.0',
    '--port=8082',
    '--telemetry-host=0.0.0.0',
    '--telemetry-port=8081',
  ];
}

const list = (flag: string, values: readonly string[] | undefined): string[] =>
  values === undefined || values.length === 0 ? [] : [`--${flag}=${values.join(',')}`];

/** One item for each kind: of several kube-state-metrics takes the last (`LabelsAllowList.Set` in pkg/options/types.go). */
export function allowlist(items: readonly string[] = []): readonly string[] {
  const keys = new Map<string, Set<string>>();
  for (const item of items) {
    const at = item.indexOf('=');
    const kind = item.slice(0, at);
    const known = keys.get(kind) ?? new Set();
    keys.set(kind, known);
    const named = item.slice(at + 2, -1).split(',');
    for (const key of named) if (key.trim() !== '') known.add(key.trim());
  }
  return [...keys].map(([kind, known]) => `${kind}=[${[...known].join(',')}]`);
}
