export { comparedEverything, verificationText } from './verification-text.ts';
export { type VerificationResult, type VerificationTask, verifyMigration } from './verification.ts';
