import { createLogger } from '@shard-controller/shared/observability';
import { Semaphore, systemClock } from '@shard-controller/shared/runtime';
import type { FeedKey } from '../../../upstream/collection-key.ts';
import { ServedKinds } from '../../../upstream/served-kinds.ts';
import type { Upstream } from '../../../upstream/upstream.ts';
import type { FeedContext } from '../context.ts';
import { Restores } from '../restores.ts';

/** All pods of the cluster, in protobuf. */
export const PODS: FeedKey = {
  path: '/api/v1/pods',
  group: '',
  version: 'v1',
  resource: 'pods',
  namespace: '',
  fieldSelector: '',
  labelSelector: '',
  accept: 'application/vnd.kubernetes.protobuf',
};

/** A worker that hears the API server through `upstream`; jitter is half of its range. */
export function testContext(upstream: Upstream, over: Partial<FeedContext> & Pick<FeedContext, 'roles'>): FeedContext {
  return {
    upstream,
    kinds: new ServedKinds(upstream),
    logger: createLogger({ name: 'test', level: 'fatal' }),
    clock: systemClock,
    random: () => 0.5,
    metrics: undefined,
    restores: new Restores(),
    relists: new Semaphore(4),
    brokenRelists: new Semaphore(4),
    proofs: new Semaphore(4),
    pushdown: 'auto',
    pruner: () => undefined,
    onChange: () => {},
    ...over,
  };
}
