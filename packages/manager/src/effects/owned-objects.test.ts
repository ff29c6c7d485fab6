import type { ApplyRequest, KubernetesObject } from '@shard-controller/shared/kubernetes';
import { expect, test } from 'vitest';
import { configLabels, userLabels } from '../naming/index.ts';
import { OwnedObjects } from './owned-objects.ts';

const config = { namespace: 'monitoring', name: 'main', uid: 'uid-1' };
const service: KubernetesObject = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'main-metrics', namespace: 'monitoring', labels: configLabels('main') },
};
const { signal } = new AbortController();

/** What is sent, in order. */
function objects(): { readonly objects: OwnedObjects; readonly sent: Readonly<Record<string, string>>[] } {
  const sent: Readonly<Record<string, string>>[] = [];
  const client = {
    pathOf: async () => '/services/main-metrics',
    find: async () => undefined,
    apply: async <T>({ object }: ApplyRequest): Promise<T> => {
      sent.push(object.metadata?.labels ?? {});
      return JSON.parse('{}');
    },
    delete: async () => undefined,
  };
  return { objects: new OwnedObjects({ client, leads: () => true, config }), sent };
}

test('every object has the labels of its ShardConfig, and is written again when they change', async () => {
  const { objects: own, sent } = objects();
  await own.apply(service, signal);
  own.setLabels({ team: 'a' });
  await own.apply(service, signal);
  own.setLabels({ team: 'a' });
  await own.apply(service, signal);
  expect(sent).toEqual([configLabels('main'), { team: 'a', ...configLabels('main') }]);
});

test('labels that tools set for themselves are not passed on', () => {
  const given = {
    team: 'a',
    'example.com/cost-center': '42',
    'app.kubernetes.io/instance': 'release',
    'helm.sh/chart': 'x-1',
    'argocd.argoproj.io/instance': 'app',
  };
  expect(userLabels(given)).toEqual({ team: 'a', 'example.com/cost-center': '42' });
});
