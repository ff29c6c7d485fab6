export { namespacesOf, type Selection } from './exported-kinds.ts';
export { HandoverLedger, type SlotProgress } from './handover-ledger.ts';
export { MembershipRing } from '../feed/books/membership-ring.ts';
export { isExposedRole, planSlots, SlotRole, type SlotRoles } from '../slots/slot-plan.ts';
export { type SlotCensus, type VerifiableFeed, Verifier } from './verification.ts';
