export { HandoverLedger, type SlotProgress } from './handover-ledger.ts';
export { type MembershipChange, MembershipRing } from './membership-ring.ts';
export { isExposedRole, planSlots, SlotPlanError, SlotRole, type SlotRoles } from './slot-plan.ts';
export { type SlotCensus, type VerifiableFeed, verifySlots } from './verification.ts';
