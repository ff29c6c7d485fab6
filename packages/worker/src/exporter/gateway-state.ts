import type { Heartbeat } from '@shard-controller/shared/contracts';

/** What decides whether a scrape may be answered. */
export interface GatewayFacts {
  /** The process has stalled and its assignment is being read again. */
  readonly stalled: boolean;
  /** Why the worker must not be read because it is cut off (`isolation: Fence`), or undefined. */
  readonly isolated: string | undefined;
  /** An assignment is in force. */
  readonly assigned: boolean;
  /** The other replica of the shard, when the assignment says that it serves. */
  readonly standbyOf: 'a' | 'b' | undefined;
  /** Why no assignment is in force. */
  readonly unassignedReason: string;
  /** The exporter shows everything that this worker exposes. */
  readonly warm: boolean;
  readonly warmReason: string;
  /** It is not, because the exporter starts all its watches again. */
  readonly startsOver: boolean;
  readonly exporter: Heartbeat['exporter']['state'];
  /** The process has received SIGTERM. */
  readonly draining: boolean;
}

export interface GatewayState {
  readonly state: Heartbeat['gateway']['state'];
  /** For people; empty while serving. */
  readonly reason: string;
  /** Whether a scrape is passed on to the exporter. */
  readonly open: boolean;
  /**
   * It is closed only until the exporter has started over. What the exporter began to send before stays whole: it
   * reads from the stores that it had then, and those are left as they were.
   */
  readonly startsOver?: true;
}

/** Whether the gateway serves, and why not. The first fact that forbids it wins. */
export function gatewayState(facts: GatewayFacts): GatewayState {
  if (facts.stalled) {
    return { state: 'fenced', reason: 'this process had stalled; its assignment is being read again', open: false };
  }
  if (facts.isolated !== undefined) return { state: 'fenced', reason: facts.isolated, open: false };
  if (!facts.assigned) return { state: 'warming', reason: facts.unassignedReason, open: false };
  if (facts.standbyOf !== undefined) {
    return { state: 'standby', reason: `replica ${facts.standbyOf} of this shard serves`, open: false };
  }
  if (!facts.warm) {
    const startsOver = facts.startsOver ? ({ startsOver: true } as const) : {};
    return { state: 'warming', reason: coldReason(facts), open: false, ...startsOver };
  }
  if (facts.draining) {
    return { state: 'draining', reason: 'terminating; serves until its slots are released', open: true };
  }
  return { state: 'serving', reason: '', open: true };
}

/** An exporter that does not answer is the reason behind every other. */
function coldReason({ exporter, warmReason }: GatewayFacts): string {
  if (exporter === 'running') return warmReason;
  const what = exporter === 'starting' ? 'has not answered yet' : 'does not answer';
  return `kube-state-metrics ${what} (see the log of its container); ${warmReason}`;
}
