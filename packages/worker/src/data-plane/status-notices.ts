import { ChangeNotifier } from '../change-notifier.ts';
import type { DataPlaneStatus } from './data-plane.ts';

/** Tells of changes of the status, and of nothing else. */
export class StatusNotices {
  readonly #status: () => DataPlaneStatus;
  readonly #notifier = new ChangeNotifier();
  #isDue = false;
  #said = '';

  constructor(status: () => DataPlaneStatus) {
    this.#status = status;
  }

  readonly onChange = this.#notifier.onChange.bind(this.#notifier);

  /**
   * Something may have changed. Several changes of one turn of the event loop are one notice: it looks at every slot of
   * every feed.
   */
  readonly consider = (): void => {
    if (this.#isDue) return;
    this.#isDue = true;
    setImmediate(() => {
      this.#isDue = false;
      const signature = signatureOf(this.#status());
      if (signature === this.#said) return;
      this.#said = signature;
      this.#notifier.notify();
    });
  };
}

/** Everything whose change is worth a notice. */
function signatureOf({
  handovers,
  slots,
  warmReason,
  exposedSlots,
  feeds,
  unavailable,
  staleFeeds,
}: DataPlaneStatus): string {
  const states = handovers.map(({ migration, state, error, without }) => [migration, state, error, without]);
  return JSON.stringify([states, slots, warmReason, exposedSlots, feeds.synced, feeds.total, unavailable, staleFeeds]);
}
