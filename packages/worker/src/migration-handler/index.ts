export { HandoverLedger, type SlotProgress } from './handover-ledger.ts';
export { MembershipRing } from './membership-ring.ts';
export { isExposedRole, planSlots, SlotRole, type SlotRoles } from './slot-plan.ts';
export { type SlotCensus, type VerifiableFeed, verifySlots } from './verification.ts';
