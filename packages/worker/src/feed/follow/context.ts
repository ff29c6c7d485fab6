import type { Clock, Semaphore } from '@shard-controller/shared/runtime';
import type { Logger } from '@shard-controller/shared/observability';
import type { Pruner } from '../../pruning/index.ts';
import type { SlotHash, SlotRoles } from '../../slots/index.ts';
import type { FeedKey, ServedKinds, Upstream } from '../../upstream/index.ts';
import type { FrameCodec, FrameView, ObjectKind } from '../../wire/index.ts';
import type { FilterDecision } from '../books/index.ts';
import type { DataPlaneMetrics } from './data-plane-metrics.ts';
import type { Restores } from './restores.ts';

/** What all feeds of a worker share. */
export interface FeedContext {
  readonly upstream: Upstream;
  readonly kinds: ServedKinds;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly random: () => number;
  readonly metrics: Partial<DataPlaneMetrics> | undefined;
  /** Whether the API server was restored to older data. */
  readonly restores: Restores;
  /** Bounds relists that run at the same time; those of kinds that are broken, and may hang, have a bound of their own. */
  readonly relists: Semaphore;
  readonly brokenRelists: Semaphore;
  /** Reads by which feeds prove their positions. */
  readonly proofs: Semaphore;
  readonly roles: () => SlotRoles | undefined;
  /** `auto`: the API server is asked for the objects of the needed slots only, where it narrows lists and watches. */
  readonly pushdown: 'auto' | 'off';
  /** What is left out of a feed's objects; undefined for nothing. */
  readonly pruner: (key: FeedKey, kind: ObjectKind, encoding: FrameCodec['encoding']) => Pruner | undefined;
  /** A watch that says nothing for so long is opened again, ms; as frame-stream.ts has it when absent. */
  readonly silenceMs?: number | undefined;
  readonly onChange: () => void;
}

/** How a feed places its objects. */
export interface FeedSlots {
  readonly slotCount: number;
  readonly slotHash: SlotHash;
  /** What the hash is taken of; undefined where objects are not placed by hash. */
  readonly shardBy?: 'uid' | 'namespace';
  readonly quietSlot?: number;
  readonly unsharded?: boolean;
  /** What each state of an object tells the exporter; absent: something new. */
  readonly eventFilter?: ((entry: object, view: FrameView) => FilterDecision) | undefined;
}
