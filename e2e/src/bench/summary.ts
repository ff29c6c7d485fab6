import type { RunFigures } from './arms.ts';
import type { MoveFigures } from './moves-phase.ts';
import type { ProcessFigures } from './process-book.ts';
import type { Role } from './process-usage.ts';
import type { Results } from './results.ts';
import { largest, mean, quantile, ratio, sum } from './statistics.ts';

/** The last line of a run: null where the arm did not run. */
export interface Summary {
  readonly objects: number;
  readonly resizeMissingMax: number | null;
  /** The longest time that one series was shown by two shards. */
  readonly resizeDoubledMs: number | null;
  readonly peerResizeMissingMax: number | null;
  readonly peerResizeMissingMs: number | null;
  readonly filterProtobufObjectsPerSecond: number | null;
  readonly filterJsonObjectsPerSecond: number | null;
  readonly workerCpuMicrosPerFrame: number | null;
  readonly workerCpuMicrosPerKeptFrame: number | null;
  /** Worker's CPU from its launch to the first complete scrape / the exporter's; one worker with every slot. */
  readonly startWorkerCpuRatio: number | null;
  /** The same without what a worker uses before it has read any object. */
  readonly startWorkerCpuRatioWithoutBoot: number | null;
  /** p99 of ours less p99 of plain, of the same changes; the larger of pushdown off and on. */
  readonly freshnessP99AddedMs: number | null;
  readonly exporterPeakMemoryRatio: number | null;
  /** Worst worker with pushdown / mean of the workers without, start and steady state, for the same number of changes. */
  readonly pushdownBytesShare: number | null;
  readonly workerRssMiB: number | null;
  readonly workerRssPushdownMiB: number | null;
  /** Bytes read per moved object / size of the object, moves below 500 objects; the larger of pushdown on and off. */
  readonly movedObjectBytesRatio: number | null;
}

export function summaryOf(results: Results): Summary {
  const { plain, ours, pushdown, resizeOurs, resizeAutosharded, worker, filter, moves } = results;
  const added = [ours, pushdown].flatMap((run) => freshnessOf(run)?.addedP99 ?? []);
  const peer = resizeAutosharded ?? [];
  return rounded({
    objects: results.objects,
    resizeMissingMax: largest((resizeOurs ?? []).map((r) => r.missingMax)),
    resizeDoubledMs: largest((resizeOurs ?? []).map((r) => r.doubledMs)),
    peerResizeMissingMax: largest(peer.map((r) => r.missingMax)),
    peerResizeMissingMs: peer.length === 0 ? null : sum(peer.map((r) => r.missingMs)),
    filterProtobufObjectsPerSecond: filter?.protobufPerSecond ?? null,
    filterJsonObjectsPerSecond: filter?.jsonPerSecond ?? null,
    workerCpuMicrosPerFrame: worker?.microsPerFrameReceived ?? null,
    workerCpuMicrosPerKeptFrame: worker?.microsPerFrameKept ?? null,
    ...startRatios(results),
    freshnessP99AddedMs: largest(added),
    exporterPeakMemoryRatio: ratio(startOf(results.single, 'exporter').peakMiB, startOf(plain, 'exporter').peakMiB),
    pushdownBytesShare: pushdownShare(ours, pushdown),
    workerRssMiB: worker?.memory.rssMiB ?? null,
    workerRssPushdownMiB: worker?.memoryWithPushdown.rssMiB ?? null,
    movedObjectBytesRatio: largest((moves ?? []).flatMap((each) => movedBytesRatio(each) ?? [])),
  });
}

const movedBytesRatio = ({ bytes, objects, objectBytes }: MoveFigures): number | null =>
  ratio(bytes / objects, objectBytes);

function startRatios({ single, worker }: Results) {
  const workerCpu = startOf(single, 'worker').cpuMs;
  const exporterCpu = startOf(single, 'exporter').cpuMs;
  const boot = worker?.bootCpuMs;
  return {
    startWorkerCpuRatio: ratio(workerCpu, exporterCpu),
    startWorkerCpuRatioWithoutBoot:
      boot === undefined || workerCpu === null ? null : ratio(Math.max(0, workerCpu - boot), exporterCpu),
  };
}

/** Figures of all processes of a role together; null when there is none. */
export interface RoleFigures {
  /** All processes together. */
  readonly cpuMs: number | null;
  /** The largest one. */
  readonly peakMiB: number | null;
}

export const startOf = (run: RunFigures | undefined, role: Role): RoleFigures =>
  roleFigures(run?.start.processes ?? [], role);

export const steadyOf = (run: RunFigures | undefined, role: Role): RoleFigures =>
  roleFigures(run?.steady?.processes ?? [], role);

function roleFigures(processes: readonly ProcessFigures[], role: Role): RoleFigures {
  const own = processes.filter((process) => process.role === role);
  return {
    cpuMs: own.length === 0 ? null : sum(own.map(({ cpuMs }) => cpuMs)),
    peakMiB: largest(own.map(({ peakMiB }) => peakMiB)),
  };
}

/** Bytes that each process has read from the API server. */
export const apiBytes = (processes: readonly ProcessFigures[]): readonly number[] =>
  processes.flatMap((process) => process.apiBytes ?? []);

export interface Freshness {
  readonly p50: number;
  readonly p99: number;
  readonly addedP99: number | null;
  /** Median of the differences change by change. */
  readonly addedP50: number | null;
}

/** How soon a change is seen: in the contestant, and how much later than in the plain one beside it. */
export function freshnessOf(run: RunFigures | undefined): Freshness | undefined {
  const pairs = run?.steady?.observations.freshness ?? [];
  const targets = pairs.flatMap(({ target }) => target ?? []);
  const own = targets.length > 0 ? targets : pairs.map(({ plain }) => plain);
  const [p50, p99] = [quantile(own, 0.5), quantile(own, 0.99)];
  if (p50 === null || p99 === null) return undefined;
  if (targets.length === 0) return { p50, p99, addedP50: null, addedP99: null };
  const plainP99 = quantile(
    pairs.map(({ plain }) => plain),
    0.99,
  );
  const differences = pairs.flatMap(({ plain, target }) => (target === null ? [] : [target - plain]));
  return { p50, p99, addedP50: quantile(differences, 0.5), addedP99: plainP99 === null ? null : p99 - plainP99 };
}

/**
 * Bytes that each process read in start and steady state, the latter for `changes` changes: the churn differs a little
 * from arm to arm. The start lasts until the steady state begins: kube-state-metrics lists everything twice, and whether
 * the first complete scrape comes before the second list or after it is up to chance.
 */
function bytesRead({ steady }: RunFigures, changes: number): readonly number[] {
  return (steady?.before ?? []).flatMap(({ pod, role, apiBytes: before }) => {
    const later = steady?.processes.find((process) => process.pod === pod && process.role === role)?.apiBytes;
    if (before === null || later === null || later === undefined) return [];
    return [before + (later * changes) / (steady?.changes ?? 1)];
  });
}

function pushdownShare(off: RunFigures | undefined, on: RunFigures | undefined): number | null {
  if (!off?.steady?.changes || !on?.steady?.changes) return null;
  const { changes } = off.steady;
  return ratio(largest(bytesRead(on, changes)), mean(bytesRead(off, changes)));
}

function rounded<T extends object>(values: T): T {
  const round = (value: unknown): unknown =>
    typeof value === 'number' && !Number.isInteger(value)
      ? Number(value.toFixed(Math.abs(value) < 100 ? 3 : 0))
      : value;
  return Object.fromEntries(Object.entries(values).map(([key, value]) => [key, round(value)])) as T;
}
