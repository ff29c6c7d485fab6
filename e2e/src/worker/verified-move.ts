import {
  proveRelease,
  type QuestionContext,
  type ReleaseTask,
  type VerificationResult,
  type VerificationTask,
  verifyMigration,
} from '@shard-controller/manager/verification';
import { verifyRequestSchema } from '@shard-controller/shared/contracts';
import { systemClock } from '@shard-controller/shared/runtime';
import { PATIENCE_MS, waitUntil } from '@shard-controller/shared/testing';
import type { DataPlane } from '@shard-controller/worker/data-plane';

/** Verifies a move between two data planes of this process as the manager does, without NATS between them. */
export function verifyMove(
  source: DataPlane,
  target: DataPlane,
  slots: readonly number[],
  over: Partial<Pick<VerificationTask, 'sameTemplate' | 'sourceEnds'>> & { readonly timeoutMs?: number } = {},
): Promise<VerificationResult> {
  const task = {
    ...moveOf('m', slots),
    sameTemplate: over.sameTemplate ?? true,
    sourceEnds: over.sourceEnds ?? false,
    deadline: systemClock.monotonic() + (over.timeoutMs ?? PATIENCE_MS),
  };
  return verifyMigration(task, {
    clock: systemClock,
    signal: new AbortController().signal,
    link: linkOf(source, (request, signal) => target.verify(request, signal)),
  });
}

/**
 * Resolves when `source` has let go of slots that it has to release. As the manager does, it is told what the target
 * shows; where there is none, that all is shown.
 */
export async function release(
  source: DataPlane,
  target: DataPlane | undefined,
  slots: readonly number[],
  migration = 'm',
): Promise<void> {
  const released = new AbortController();
  const { signal } = released;
  const answer: DataPlane['verify'] = (request, until) =>
    target?.verify(request, until) ?? Promise.resolve({ v: request.v, migration, settled: true, kinds: [], late: [] });
  const proving = proveRelease(
    { ...moveOf(migration, slots), deadline: Infinity },
    {
      clock: systemClock,
      signal,
      link: linkOf(source, answer),
    },
  );
  const isReleased = (): boolean =>
    source.status().handovers.some((handover) => handover.migration === migration && handover.state === 'released');
  await waitUntil(`${migration} is released`, isReleased, { everyMs: 5 });
  released.abort();
  await proving;
}

function moveOf(migration: string, slots: readonly number[]): Omit<ReleaseTask, 'deadline'> {
  return {
    namespace: 'monitoring',
    config: 'main',
    uid: 'u',
    migration,
    source: { shardId: 'shard-000', replica: 'a' },
    target: { shardId: 'shard-001', replica: 'a' },
    slots,
    slotCount: 256,
  };
}

function linkOf(source: DataPlane, target: DataPlane['verify']): QuestionContext['link'] {
  return {
    request: async ({ subject, body, schema, timeoutMs = 5_000 }) => {
      const ended = AbortSignal.timeout(Math.ceil(timeoutMs));
      const request = verifyRequestSchema.parse(body);
      try {
        const reply = await (subject.includes('shard-000') ? source.verify(request, ended) : target(request, ended));
        return { kind: 'reply', reply: { ok: true, value: schema.parse(JSON.parse(JSON.stringify(reply))) } };
      } catch (error) {
        if (ended.aborted) return { kind: 'timeout' };
        throw error;
      }
    },
    subscribe: () => ({ unsubscribe: () => undefined }),
  };
}
