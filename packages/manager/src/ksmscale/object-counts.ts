import type { Logger } from '@shard-controller/shared/observability';
import { isServing, type ObservedPod, SHARD_LABEL } from './planning/index.ts';

/** How many objects the pods of each shard export, for replicationStrategy least-loaded. */

const TIMEOUT_MS = 3_000;
/** kube-state-metrics has one series of this ending for each object of nearly every kind. */
const OBJECT_SERIES = Buffer.from('_created{');

/** Asks one Ready pod of each shard; a shard that does not answer has no figure. */
export async function objectCounts(
  pods: readonly ObservedPod[],
  logger: Logger,
  signal: AbortSignal,
): Promise<ReadonlyMap<number, number>> {
  const oneOfEach = new Map(
    pods.flatMap((pod) => {
      const shard = pod.labels[SHARD_LABEL];
      return isServing(pod) && pod.address !== undefined && shard !== undefined
        ? [[Number(shard), pod.address] as const]
        : [];
    }),
  );
  const counts = await Promise.all(
    [...oneOfEach].map(async ([shard, address]) => {
      try {
        return [shard, await countObjects(address, signal)] as const;
      } catch (error) {
        logger.warn({ err: error, shard, address }, 'a shard did not say how many objects it exports');
        return undefined;
      }
    }),
  );
  return new Map(counts.filter((count) => count !== undefined));
}

/**
 * A pod of a KSMScale did not answer with its metrics; the shard counts as empty when the next replica is placed.
 *
 * @remedy check the pod, and the network from the manager to it
 */
class ShardAnswerError extends Error {
  override readonly name = 'ShardAnswerError';
  readonly code = 'SC_SHARD_ANSWER';
  constructor(address: string, status: number) {
    super(`${address} answered ${status} to /metrics`);
  }
}

async function countObjects(address: string, signal: AbortSignal): Promise<number> {
  const host = address.includes(':') ? `[${address}]` : address;
  const bounded = AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]);
  const response = await fetch(`http://${host}:8080/metrics`, { signal: bounded });
  if (!response.ok || response.body === null) throw new ShardAnswerError(address, response.status);
  let count = 0;
  // The end of one chunk may be the beginning of what is looked for.
  let tail: Uint8Array = Buffer.alloc(0);
  for await (const chunk of response.body) {
    const text = Buffer.concat([tail, chunk]);
    for (let at = text.indexOf(OBJECT_SERIES); at >= 0; at = text.indexOf(OBJECT_SERIES, at + 1)) count += 1;
    tail = text.subarray(Math.max(0, text.length - OBJECT_SERIES.length + 1));
  }
  return count;
}
