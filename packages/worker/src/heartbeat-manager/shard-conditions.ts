import type { Condition } from '@shard-controller/shared/api';
import type { Heartbeat } from '@shard-controller/shared/contracts';

const MAX_MESSAGE = 4096;

/** Conditions of a ShardInstance as its active worker sees them. Remembers since when they are what they are. */
export class ShardConditions {
  #degraded: { readonly status: Condition['status']; readonly since: number } | undefined;

  of({ sentAt, unavailable }: Pick<Heartbeat, 'sentAt' | 'unavailable'>): Condition[] {
    const status = unavailable === undefined ? 'False' : 'True';
    if (this.#degraded?.status !== status) this.#degraded = { status, since: sentAt };
    const lastTransitionTime = new Date(this.#degraded.since).toISOString().replace(/\.[0-9]{3}Z$/, 'Z');
    const said =
      unavailable === undefined
        ? { reason: 'AsExpected', message: 'all exported kinds can be read' }
        : { reason: 'KindUnavailable', message: textOf(unavailable).slice(0, MAX_MESSAGE) };
    return [{ type: 'Degraded', status, ...said, lastTransitionTime }];
  }
}

function textOf({ total, kinds }: NonNullable<Heartbeat['unavailable']>): string {
  const texts = kinds.map(({ kind, cause, since, message, mending }) => {
    const state = mending === true ? `can be read again and is loading; it was ${cause}` : cause;
    return `${kind}: ${state} since ${new Date(since).toISOString()}: ${message}`;
  });
  const more = total > kinds.length ? [`and ${total - kinds.length} more kinds`] : [];
  return [...texts, ...more].join('; ');
}
