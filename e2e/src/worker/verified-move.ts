import {
  type VerificationResult,
  type VerificationTask,
  verifyMigration,
} from '@shard-controller/manager/verification';
import { verifyRequestSchema } from '@shard-controller/shared/contracts';
import { systemClock } from '@shard-controller/shared/runtime';
import { PATIENCE_MS } from '@shard-controller/shared/testing';
import type { DataPlane } from '@shard-controller/worker/data-plane';

/** Verifies a move between two data planes of this process as the manager does, without NATS between them. */
export function verifyMove(
  source: DataPlane,
  target: DataPlane,
  slots: readonly number[],
  over: Partial<Pick<VerificationTask, 'sameTemplate' | 'sourceEnds'>> & { readonly timeoutMs?: number } = {},
): Promise<VerificationResult> {
  const task = {
    namespace: 'monitoring',
    config: 'main',
    uid: 'u',
    migration: 'm',
    source: { shardId: 'shard-000', replica: 'a' as const },
    target: { shardId: 'shard-001', replica: 'a' as const },
    slots,
    slotCount: 256,
    sameTemplate: over.sameTemplate ?? true,
    sourceEnds: over.sourceEnds ?? false,
    deadline: systemClock.monotonic() + (over.timeoutMs ?? PATIENCE_MS),
  };
  const signal = new AbortController().signal;
  return verifyMigration(task, {
    clock: systemClock,
    signal,
    link: {
      request: async ({ subject, body, schema, timeoutMs = 5_000 }) => {
        const plane = subject.includes('shard-000') ? source : target;
        const ended = AbortSignal.timeout(Math.ceil(timeoutMs));
        try {
          const reply = await plane.verify(verifyRequestSchema.parse(body), ended);
          return { kind: 'reply', reply: { ok: true, value: schema.parse(JSON.parse(JSON.stringify(reply))) } };
        } catch (error) {
          if (ended.aborted) return { kind: 'timeout' };
          throw error;
        }
      },
      subscribe: () => ({ unsubscribe: () => undefined }),
    },
  });
}
