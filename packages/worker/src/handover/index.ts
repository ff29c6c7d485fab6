export { HandoverLedger, type SlotProgress } from './handover-ledger.ts';
export { Verifier } from './verification.ts';
