export { comparedEverything, verificationText } from './verification-text.ts';
export { type VerificationResult, type VerificationTask, verifyMigration } from './verification.ts';
export { proveRelease, type ReleaseTask } from './release-proof.ts';
export type { QuestionContext, Side } from './verification-questions.ts';
