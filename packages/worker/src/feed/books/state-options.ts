import type { ResourceVersion } from '@shard-controller/shared/kubernetes';
import type { Pruner } from '../../pruning/index.ts';
import type { SlotHash } from '../../slots/index.ts';
import type { FrameCodec, FrameView, ObjectKind } from '../../wire/index.ts';
import type { SlotSet } from './scope.ts';

/**
 * What a state of an object means for the exporter: something that it may not know yet, something that it has already
 * been sent, or something new.
 */
export type FilterDecision = 'suppress' | 'dedupe' | 'forward';

export interface FeedStateOptions {
  readonly kind: ObjectKind;
  readonly codec: FrameCodec;
  readonly slotCount: number;
  readonly slotHash: SlotHash;
  /** resourceVersion from which the watch runs. */
  readonly position: ResourceVersion;
  /**
   * Slot whose later events are withheld once a subscription has had its first state: objects that may exist, but must
   * not be seen to change. Only for CustomResourceDefinitions.
   */
  readonly quietSlot?: number | undefined;
  /** The slots of this feed are always exposed, whatever the assignment. */
  readonly unsharded?: boolean;
  /** Judges each state of an object of another slot than the quiet one, in order; absent: something new. */
  readonly eventFilter?: ((entry: object, view: FrameView) => FilterDecision) | undefined;
  /** Slots of which the API server is asked for objects; everything else it sends is left out. Undefined: all. */
  readonly scope?: SlotSet | undefined;
  /** What is left out of the objects on their way to the exporter. */
  readonly pruner?: Pruner | undefined;
  /** The exporter had shown all of it before. */
  readonly initialSyncComplete?: boolean;
  readonly now: () => number;
  readonly onChange: () => void;
  /** A subscription was ended because too much waited for its exporter. */
  readonly onShed?: () => void;
}
