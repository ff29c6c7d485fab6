import type { ResourceVersion } from '@shard-controller/shared/kubernetes';
import { MAX_RESOURCE_VERSION, isNewer, newerOf } from '../../wire/index.ts';

/**
 * Where a feed stands, in resourceVersions; each is changed here only.
 *
 * By example: the watch has come to 120 (`position`). A load has brought an object of 125 (`highWatermark`), so no
 * list older than that will do. A relist at 110 has shown that something was gone, but not since when: counts are exact
 * from 110 on (`digestFloor`). The first load stood at 100 (`knownFrom`). Then a backup of etcd of version 90 is restored:
 * `position` and `highWatermark` are 90, and positions up to 125 (`lostUntil`) mean nothing any more.
 */
export class FeedVersions {
  #position: ResourceVersion;
  #highWatermark: ResourceVersion;
  #lostUntil = '';
  #digestFloor: ResourceVersion;
  #knownFrom = MAX_RESOURCE_VERSION;
  #filled = false;

  constructor(position: ResourceVersion) {
    this.#position = position;
    this.#highWatermark = position;
    this.#digestFloor = position;
  }

  /** resourceVersion of the newest event of the watch. */
  get position(): ResourceVersion {
    return this.#position;
  }

  /** Newest resourceVersion known from any source: a load must not be older. */
  get highWatermark(): ResourceVersion {
    return this.#highWatermark;
  }

  /** Where `highWatermark` stood when the API server was last restored; '' where it never did. Positions up to here are ambiguous. */
  get lostUntil(): ResourceVersion {
    return this.#lostUntil;
  }

  /** Counts are exact for positions from here on: where the newest load or relist stood. */
  get digestFloor(): ResourceVersion {
    return this.#digestFloor;
  }

  /** From this position on the index knows every object that anybody was ever sent: where the first load stood. */
  get knownFrom(): ResourceVersion {
    return this.#knownFrom;
  }

  /** All objects within the scope are in the index. */
  get filled(): boolean {
    return this.#filled;
  }

  /** The watch has come to `version` (I1). */
  advance(version: ResourceVersion): void {
    if (isNewer(version, this.#position)) this.#position = version;
    this.see(version);
  }

  /** Something as new as `version` is there. */
  see(version: ResourceVersion): void {
    this.#highWatermark = newerOf(version, this.#highWatermark);
  }

  /** The watch has missed what led to `version`: when exactly something went is not known (I7). */
  skip(version: ResourceVersion): void {
    this.#digestFloor = newerOf(version, this.#digestFloor);
  }

  /** Everything as of `version` is in the index (I6). */
  fill(version: ResourceVersion): void {
    if (!this.#filled) this.#knownFrom = version;
    this.#filled = true;
    this.see(version);
    this.skip(version);
  }

  /** The watch continues from `version`, up to which the index has been compared with the cluster (I1). */
  continueFrom(version: ResourceVersion): void {
    this.#position = version;
    this.see(version);
    if (isNewer(this.#digestFloor, version)) this.#digestFloor = version;
  }

  /** What led to `version` is not known any more (I6). */
  forgetUntil(version: ResourceVersion): void {
    if (this.#filled) this.#knownFrom = version;
  }

  /** The API server was restored to `version`: what was newer never happened (I1, I6). */
  restoreTo(version: ResourceVersion): void {
    this.#lostUntil = newerOf(this.#lostUntil, this.#highWatermark);
    this.#position = version;
    this.#highWatermark = version;
    // Nothing can be counted until the difference is written: `position` is ahead of that.
    this.#digestFloor = MAX_RESOURCE_VERSION;
    this.forgetUntil(version);
  }
}
