import type { BenchPod } from '../stage.ts';

/** One of those that are measured side by side: a way of exporting all objects. */
export interface Contestant {
  readonly name: string;
  /** The headless Service whose EndpointSlices name what Prometheus scrapes. */
  readonly service: string;
  /** Creates its objects. Does not wait. */
  start(): Promise<void>;
  /** Whether it says of itself that it is complete; one without a word for that says it when its pods are Ready. */
  ready(): Promise<boolean>;
  /** Whether {@link ready} means that `/metrics` is complete. Else a quiet CPU is waited for, too. */
  readonly knowsWhenComplete: boolean;
  pods(): Promise<readonly BenchPod[]>;
  /** Asks for `shards` shards; `ready` says when they are there. */
  scale(shards: number): Promise<void>;
  /** Deletes everything and ends the processes. */
  remove(): Promise<void>;
}

/** Flags of a contestant's exporter beyond the common ones. */
export interface ExporterOptions {
  /** Only these metrics (regular expressions); all when absent. */
  readonly metricAllowlist?: readonly string[];
  /** Only these kinds; kube-state-metrics' own when absent. */
  readonly resources?: readonly string[];
}

export const METRICS_PORT = 8080;

export const metricsUrl = (ip: string): string => `http://${ip}:${METRICS_PORT}/metrics`;
