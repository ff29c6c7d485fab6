import type { SlotIndex } from '@shard-controller/shared/hashing';
import { compareResourceVersion, type ResourceVersion } from '@shard-controller/shared/kubernetes';

/** An object that entered or left a feed's set. */
export interface MembershipChange {
  readonly version: ResourceVersion;
  readonly uid: string;
  readonly slot: SlotIndex;
  readonly namespace: string;
  readonly joined: boolean;
}

/** A second or two of the heaviest churn, minutes of the usual one. Entries. */
const DEFAULT_CAPACITY = 8192;

/**
 * The newest membership changes of a feed in order, so that "which objects were there as of resourceVersion V" can be
 * answered for a V that lies a little behind the feed. Bounded: what falls out raises `floor`.
 */
export class MembershipRing {
  readonly #capacity: number;
  #changes: MembershipChange[] = [];
  #first = 0;
  #floor: ResourceVersion;

  constructor(floor: ResourceVersion, capacity = DEFAULT_CAPACITY) {
    this.#floor = floor;
    this.#capacity = capacity;
  }

  /** Changes newer than this version are all here; nothing can be said about older positions. */
  get floor(): ResourceVersion {
    return this.#floor;
  }

  push(change: MembershipChange): void {
    this.#changes.push(change);
    if (this.#changes.length - this.#first <= this.#capacity) return;
    this.#floor = (this.#changes[this.#first] as MembershipChange).version;
    this.#first++;
    if (this.#first > this.#capacity) {
      this.#changes = this.#changes.slice(this.#first);
      this.#first = 0;
    }
  }

  /** What happened before `floor` is not known. */
  reset(floor: ResourceVersion): void {
    this.#floor = floor;
    this.#changes = [];
    this.#first = 0;
  }

  /** Changes newer than `version`, oldest first; undefined when some of them are no longer known. */
  since(version: ResourceVersion): readonly MembershipChange[] | undefined {
    if (compareResourceVersion(this.#floor, version) > 0) return undefined;
    let from = this.#changes.length;
    while (from > this.#first) {
      const { version: at } = this.#changes[from - 1] as MembershipChange;
      if (compareResourceVersion(at, version) <= 0) break;
      from--;
    }
    return this.#changes.slice(from);
  }
}
