/** Counters of the data plane; the owner of the metric registry implements them. */
export interface DataPlaneMetrics {
  /** Frames of watches and lists: read from the API server, and sent on to the exporter. */
  frames(resource: string, received: number, kept: number): void;
  /** Bytes that were left out of the exporter's objects because it does not read them. */
  cut(resource: string, bytes: number): void;
  /** Bytes of the same frames: read from the API server, and written to the exporter. */
  bytes(resource: string, received: number, kept: number): void;
  /** A metadata list that compared the index with the cluster after the watch could not be resumed. */
  relist(resource: string, cause: string): void;
  /** Whether the API server is asked for the objects of the needed slots only. */
  pushdown(resource: string, on: boolean): void;
  /** A list, or a single read in its place, that failed and is tried again. */
  loadFailure(resource: string, cause: string): void;
  /** An upstream watch that had to be opened again, by cause. */
  reconnect(resource: string, cause: string): void;
  /** The exporter asks for a collection, or for something that is none (`other`). */
  exporterRequest(resource: string): void;
}
