import {
  askLate,
  askShown,
  EarlierWorkerError,
  type QuestionContext,
  type Questions,
  type Side,
} from './verification-questions.ts';

const RETRY_MS = 250;

/** Slots that a source releases, and the worker that has them now. */
export interface ReleaseTask extends Questions {
  readonly source: Side;
  readonly target: Side;
}

/**
 * Tells a source, for as long as it asks, what the target shows: what came into the slots after they were verified, the
 * source shows until then. Ends with `signal` or the deadline, never by itself: whoever has let go says so in a heartbeat.
 */
export async function proveRelease(task: ReleaseTask, context: QuestionContext): Promise<void> {
  const { clock, signal } = context;
  while (!signal.aborted && clock.monotonic() < task.deadline) {
    try {
      await look(task, context);
    } catch {
      // Neither answers for a while: the source keeps what it has, and is asked again.
    }
    await clock.sleep(RETRY_MS, signal);
  }
}

async function look(task: ReleaseTask, context: QuestionContext): Promise<void> {
  const { source, target } = task;
  const late = await askLate(task, source, [], context);
  if (late.length === 0) return;
  const shown = await askShown(task, target, late, context).catch((error: unknown) => {
    // A worker of an earlier version cannot be asked: as before, its acknowledgement has to do.
    if (error instanceof EarlierWorkerError) return late;
    throw error;
  });
  if (shown.length > 0) await askLate(task, source, shown, context);
}
