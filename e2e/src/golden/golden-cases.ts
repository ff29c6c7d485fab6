import { GOLDEN_STATE } from './custom-kinds.ts';

/** One way to run kube-state-metrics; the union of any number of workers has to show what one alone shows. */
export interface GoldenCase {
  readonly name: string;
  readonly flags: readonly string[];
  /** Workers and sharding in `make test`; `make golden` runs 1 to 7 workers and both ways to shard. */
  readonly workers: number;
  readonly shardBy: 'uid' | 'namespace';
}

const custom = `--custom-resource-state-config=${GOLDEN_STATE}`;
const allLabels = ['--metric-labels-allowlist=*=[*]', '--metric-annotations-allowlist=*=[*]'];

export const EVERYTHING: GoldenCase = {
  name: 'everything',
  flags: [custom, ...allLabels],
  workers: 3,
  shardBy: 'uid',
};

export const BY_NAMESPACE: GoldenCase = { ...EVERYTHING, name: 'by namespace', workers: 2, shardBy: 'namespace' };

/** The cases beside those two. */
export const CASES: readonly GoldenCase[] = [
  { name: 'defaults', flags: [], workers: 7, shardBy: 'uid' },
  { name: 'one worker', flags: allLabels, workers: 1, shardBy: 'uid' },
  {
    name: 'some labels and annotations',
    flags: [
      '--metric-labels-allowlist=pods=[app,example.com/*],nodes=[*],secrets=[tier]',
      '--metric-annotations-allowlist=pods=[note],namespaces=[example.com/owner],configmaps=[example.com/*]',
    ],
    workers: 2,
    shardBy: 'uid',
  },
  { name: 'two namespaces', flags: ['--namespaces=alpha,beta', custom], workers: 2, shardBy: 'uid' },
  {
    name: 'two namespaces by namespace',
    flags: ['--namespaces=alpha,gamma', ...allLabels],
    workers: 2,
    shardBy: 'namespace',
  },
  {
    name: 'all namespaces but one',
    flags: ['--namespaces-denylist=beta,kube-system', ...allLabels],
    workers: 2,
    shardBy: 'uid',
  },
  { name: 'pods of a node', flags: ['--resources=pods', '--node=node-1', ...allLabels], workers: 2, shardBy: 'uid' },
  {
    name: 'unscheduled pods',
    flags: ['--resources=pods', '--track-unscheduled-pods'],
    workers: 2,
    shardBy: 'uid',
  },
  {
    name: 'other resources',
    flags: [
      '--resources=endpoints,clusterroles,clusterrolebindings,roles,rolebindings,ingressclasses,serviceaccounts,pods',
    ],
    workers: 2,
    shardBy: 'uid',
  },
  {
    name: 'some metrics',
    flags: ['--metric-allowlist=kube_pod_.*,kube_node_status_.*,kube_secret_type'],
    workers: 2,
    shardBy: 'uid',
  },
  {
    name: 'not these metrics, and metrics to opt in',
    flags: [
      '--metric-denylist=kube_.*_created,kube_pod_status_.*',
      '--metric-opt-in-list=kube_pod_nodeselectors,kube_pod_init_container_status_last_terminated_reason',
    ],
    workers: 2,
    shardBy: 'uid',
  },
  { name: 'lists up to a limit', flags: ['--object-limit=10000', custom], workers: 2, shardBy: 'uid' },
  { name: "from the API server's cache", flags: ['--use-apiserver-cache'], workers: 2, shardBy: 'uid' },
  { name: 'custom resources only', flags: ['--custom-resource-state-only', custom], workers: 3, shardBy: 'uid' },
];
