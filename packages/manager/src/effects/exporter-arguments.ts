import type { ShardConfigSpec } from '@shard-controller/shared/api';

type Exporter = ShardConfigSpec['exporter'];

/** Command line of kube-state-metrics beside a worker. What the system relies on comes last and so always wins. */
export function exporterArguments(exporter: Exporter): string[] {
  return [
    ...(exporter.extraArgs ?? []),
    ...list('resources', exporter.resources),
    ...list('metric-labels-allowlist', exporter.labelsAllowlist),
    ...list('metric-annotations-allowlist', exporter.annotationsAllowlist),
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
