/** What the measuring process and its API server say to each other over Node's IPC channel. */

export interface ApiServerSettings {
  readonly certificate: string;
  readonly key: string;
  readonly objects: number;
  readonly frameBytes: number;
  /** Sends only what a `shardSelector` asks for (KEP-5866); else the parameter is ignored. */
  readonly narrows: boolean;
  /** The ShardInstance of the worker. */
  readonly instance: unknown;
}

export type ApiServerCommand =
  | { readonly type: 'start'; readonly settings: ApiServerSettings }
  | { readonly type: 'churn'; readonly frames: number };

export type ApiServerReport =
  | { readonly type: 'listening'; readonly port: number }
  /** All changes are written; the watches' last frame is a bookmark at this version. */
  | { readonly type: 'churned'; readonly version: number };
