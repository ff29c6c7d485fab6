import type { ObjectMeta } from '../client/index.ts';

/** coordination.k8s.io/v1 Lease, the part that leader election uses. */
export interface Lease {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: ObjectMeta;
  readonly spec?: LeaseSpec;
}

export interface LeaseSpec {
  readonly holderIdentity?: string;
  readonly leaseDurationSeconds?: number;
  /** RFC 3339 with six decimals. */
  readonly acquireTime?: string;
  readonly renewTime?: string;
  readonly leaseTransitions?: number;
}

/** A Lease and the monotonic time of this host, ms, at which it was first seen in this form. */
export interface ObservedLease {
  readonly lease: Lease;
  readonly observedAt: number;
}

/**
 * Notes when a Lease changed, by our own clock: other hosts' timestamps are only compared with themselves, so clocks
 * may differ by any amount (client-go's leaderelection does the same).
 */
export function observeLease(before: ObservedLease | undefined, lease: Lease, now: number): ObservedLease {
  const unchanged = before !== undefined && JSON.stringify(before.lease.spec) === JSON.stringify(lease.spec);
  return { lease, observedAt: unchanged ? before.observedAt : now };
}

/** Ms for which another holder's Lease is still to be respected; 0 when it may be taken. */
export function respectMs(observed: ObservedLease, identity: string, now: number): number {
  const { holderIdentity, leaseDurationSeconds = 0 } = observed.lease.spec ?? {};
  if (holderIdentity === undefined || holderIdentity === '' || holderIdentity === identity) return 0;
  return Math.max(0, observed.observedAt + leaseDurationSeconds * 1000 - now);
}

export interface LeaseClaim {
  readonly identity: string;
  readonly leaseDurationMs: number;
  /** Wall clock, ms: for people to read, never compared. */
  readonly now: number;
}

/** A new leadership: one more transition, whichever process held the Lease before. */
export function acquiredSpec(before: LeaseSpec | undefined, lastTransitions: number, claim: LeaseClaim): LeaseSpec {
  const known = Math.max(before?.leaseTransitions ?? -1, lastTransitions);
  return {
    holderIdentity: claim.identity,
    leaseDurationSeconds: Math.ceil(claim.leaseDurationMs / 1000),
    acquireTime: microTime(claim.now),
    renewTime: microTime(claim.now),
    leaseTransitions: known + 1,
  };
}

export function renewedSpec(before: LeaseSpec, claim: LeaseClaim): LeaseSpec {
  return { ...before, renewTime: microTime(claim.now) };
}

/** A Lease without a holder: the next candidate takes it at once. Transitions are kept, so that terms never repeat. */
export function releasedSpec(before: LeaseSpec, now: number): LeaseSpec {
  return { ...before, holderIdentity: '', leaseDurationSeconds: 1, renewTime: microTime(now) };
}

/** metav1.MicroTime wants exactly six decimals. */
function microTime(ms: number): string {
  return new Date(ms).toISOString().replace('Z', '000Z');
}
