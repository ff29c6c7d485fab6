import { KubernetesError, type KubernetesObject, type ObjectList } from '@shard-controller/shared/kubernetes';
import { describe, expect, it } from 'vitest';
import { teardown } from './teardown.ts';

const config = { namespace: 'monitoring', name: 'main', uid: 'uid-1' };
const owned = (uid: string, owner = 'uid-1'): KubernetesObject => ({
  metadata: { uid, ownerReferences: [{ apiVersion: 'shard.io/v1', kind: 'ShardConfig', name: 'main', uid: owner }] },
});

interface Cluster {
  readonly configs?: readonly KubernetesObject[];
  readonly objects: Readonly<Record<string, KubernetesObject>>;
}

async function deletedIn({ configs = [], objects }: Cluster) {
  const deleted: string[] = [];
  const client = {
    list: async <T>(): Promise<ObjectList<T>> => JSON.parse(JSON.stringify({ items: configs, resourceVersion: '1' })),
    find: async <T>(path: string): Promise<T | undefined> => {
      const found = Object.entries(objects).find(([end]) => path.endsWith(`/${end}`))?.[1];
      return found === undefined ? undefined : JSON.parse(JSON.stringify(found));
    },
    delete: async (path: string, options?: { readonly preconditions?: { readonly uid?: string } }) => {
      deleted.push(`${path.split('/').slice(-2).join('/')} ${options?.preconditions?.uid}`);
    },
  };
  const isDone = await teardown({ client, leads: () => true }, config, ['shard-000'], new AbortController().signal);
  return { deleted, isDone };
}

const objects = {
  'statefulsets/main-a': owned('s1'),
  'statefulsets/main-b': owned('s2', 'another'),
  'shardinstances/main-shard-000': owned('i1'),
  'services/main-metrics': { metadata: { uid: 'v1' } },
};
const everything = ['statefulsets/main-a s1', 'shardinstances/main-shard-000 i1'];
const leaving = (...finalizers: string[]): KubernetesObject => ({
  metadata: { name: 'main', uid: 'uid-1', deletionTimestamp: '2026-01-01T00:00:00Z', finalizers },
});

describe('what a deleted ShardConfig owns', () => {
  it.each([
    ['is deleted, and nothing of others', [], everything, true],
    ['is deleted when another of its name has come', [{ metadata: { name: 'main', uid: 'uid-2' } }], everything, true],
    ['is deleted in the foreground', [leaving('foregroundDeletion')], everything, true],
    ['stays when it is orphaned', [leaving('orphan')], [], true],
    ["waits for somebody's finalizer", [leaving('example.com/backup')], [], false],
  ])('%s', async (_, configs, deleted, isDone) => {
    expect(await deletedIn({ configs, objects })).toEqual({ deleted, isDone });
  });

  it('is left alone while it is being deleted by somebody else', async () => {
    const going = { metadata: { ...owned('s1').metadata, deletionTimestamp: '2026-01-01T00:00:00Z' } };
    expect((await deletedIn({ objects: { 'statefulsets/main-a': going } })).deleted).toEqual([]);
  });

  it('is left alone when the API server does not serve ShardConfigs', async () => {
    const request = { method: 'GET', path: '/apis/shard.io/v1/namespaces/monitoring/shardconfigs' };
    const notServed = new KubernetesError({
      ...request,
      code: 'SC_KUBERNETES_NOT_FOUND',
      status: 404,
      reason: 'NotFound',
      message: 'page not found',
    });
    const client = {
      list: async () => Promise.reject(notServed),
      find: async () => Promise.reject(new Error('not asked')),
      delete: async () => Promise.reject(new Error('not asked')),
    };
    const done = teardown({ client, leads: () => true }, config, [], new AbortController().signal);
    await expect(done).rejects.toThrow('page not found');
  });
});
