import type { Heartbeat } from '@shard-controller/shared/contracts';
import { statusSignature } from './shard-instance-status.ts';

/** Least time between two looks, ms: notices come with every batch of events. */
const GAP_MS = 20;

/** Tells a change that the manager or people wait for from mere activity. */
export class ChangeDetector {
  readonly #heartbeat: () => Heartbeat;
  readonly #onChange: (heartbeat: Heartbeat) => void;
  #signature = '';
  #timer: NodeJS.Timeout | undefined;

  constructor(heartbeat: () => Heartbeat, onChange: (heartbeat: Heartbeat) => void) {
    this.#heartbeat = heartbeat;
    this.#onChange = onChange;
  }

  /** Something may have changed; looks after a moment, once for all notices until then. */
  readonly notice = (): void => {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#look();
    }, GAP_MS);
    this.#timer.unref();
  };

  #look(): void {
    const heartbeat = this.#heartbeat();
    const signature = heartbeatSignature(heartbeat);
    if (signature === this.#signature) return;
    this.#signature = signature;
    this.#onChange(heartbeat);
  }
}

/** Fields whose change is reported at once; figures wait for the next regular heartbeat. */
function heartbeatSignature(heartbeat: Heartbeat): string {
  const { feeds, exporter, note = '' } = heartbeat;
  return `${statusSignature(heartbeat)} ${feeds.synced}/${feeds.total} ${exporter.state} ${note}`;
}
