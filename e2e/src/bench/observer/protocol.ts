/** What the observer's process receives at its start. */
export interface ObserverSettings {
  readonly server: string;
  readonly ca: string;
  readonly token: string;
  /** `/metrics` of the plain kube-state-metrics. */
  readonly plain: string;
  /** `/metrics` of what is measured; empty when that is the plain one itself. */
  readonly targets: readonly string[];
  /** LimitRanges whose changes are timed. */
  readonly stamps: { readonly namespace: string; readonly names: readonly string[] };
  readonly seconds: number;
}

/** All samples of one steady state, in ms. */
export interface Observations {
  /** From the request of a change to its sight in `/metrics`; pairs of the same change. A target that never showed it: 10 s. */
  readonly freshness: readonly { readonly plain: number; readonly target: number | null }[];
  /** Changes that were not seen within 10 s. */
  readonly unseen: number;
  /** Time of each full scrape: of the plain one, and of every target. */
  readonly plainScrapes: readonly number[];
  readonly targetScrapes: readonly number[];
  /** Scrapes that failed. */
  readonly failedScrapes: number;
  /** Time between two looks at `/metrics` while a change is waited for: the error of one freshness sample. */
  readonly lookMs: readonly number[];
}

export type ObserverResponse =
  | { readonly type: 'done'; readonly observations: Observations }
  | { readonly type: 'failed'; readonly message: string };
