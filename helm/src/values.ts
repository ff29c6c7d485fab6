import { DEFAULT_EXPORTER_IMAGE, shardConfigSpecSchema } from '@shard-controller/shared/api';
import { z } from 'zod';
import {
  count,
  disruptionBudget,
  duration,
  flag,
  group,
  image,
  monitor,
  names,
  oneOf,
  passedOnList,
  podValues,
  pulledImage,
  pullSecrets,
  resources,
  serviceAccount,
  text,
  texts,
} from './value-types.ts';

/**
 * The chart's values: the one source of `values.yaml`, `values.schema.json` and the table in the chart's README. What
 * means the same in the chart of kube-state-metrics has the same name as there.
 */

const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error'] as const;
const OUR_REGISTRY = 'ghcr.io';

/** `registry/repository:tag` */
const [, EXPORTER_REGISTRY = '', EXPORTER_REPOSITORY = '', EXPORTER_TAG = ''] =
  /^([^/]+)\/(.+):([^:/]+)$/.exec(DEFAULT_EXPORTER_IMAGE) ?? [];

/** What kube-state-metrics exports when nothing is said (`DefaultResources` in its pkg/options/resource.go). */
const DEFAULT_COLLECTORS = [
  'certificatesigningrequests',
  'configmaps',
  'cronjobs',
  'daemonsets',
  'deployments',
  'endpointslices',
  'horizontalpodautoscalers',
  'ingresses',
  'jobs',
  'leases',
  'limitranges',
  'mutatingadmissionpolicies',
  'mutatingadmissionpolicybindings',
  'mutatingwebhookconfigurations',
  'namespaces',
  'networkpolicies',
  'nodes',
  'persistentvolumeclaims',
  'persistentvolumes',
  'poddisruptionbudgets',
  'pods',
  'replicasets',
  'replicationcontrollers',
  'resourcequotas',
  'secrets',
  'services',
  'statefulsets',
  'storageclasses',
  'validatingadmissionpolicies',
  'validatingadmissionpolicybindings',
  'validatingwebhookconfigurations',
  'volumeattachments',
];

const namespaces = (description: string) =>
  z
    .union([z.string(), z.array(z.string())])
    .default([])
    .describe(description);

const exported = {
  collectors: z
    .array(z.string().min(1))
    .min(1)
    .default(DEFAULT_COLLECTORS)
    .describe(
      'Kinds to export, by plural name; the permissions of the workers follow from it. The default is that of kube-state-metrics: leave out `secrets` and `configmaps` if you do not need their series.',
    ),
  metricLabelsAllowlist: names('Kubernetes labels to export, like `pods=[app,team]`.'),
  metricAnnotationsAllowList: names('Kubernetes annotations to export, like `pods=[example.com/owner]`.'),
  metricAllowlist: names('Metrics to expose, as names or regular expressions; all when empty.'),
  metricDenylist: names('Metrics not to expose.'),
  namespaces: namespaces('Namespaces to export, as a list or separated by commas; all when empty.'),
  namespacesDenylist: namespaces('Namespaces not to export.'),
  customResourceState: group(
    {
      enabled: flag(
        false,
        'Whether custom resources are exported. The permissions to read them go into `rbac.extraRules`.',
      ),
      config: z
        .looseObject({})
        .default({})
        .describe(
          'Configuration in the form of kube-state-metrics: `kind: CustomResourceStateMetrics`, `spec.resources`.',
        ),
    },
    'Metrics of custom resources.',
  ),
  extraArgs: names('Further flags of kube-state-metrics.'),
};

const manager = group(
  {
    replicas: count(1, 5, 2, 'Managers: one leads, the others follow warm.'),
    image: pulledImage(
      { registry: OUR_REGISTRY, repository: 'shard-controller/manager', tag: '' },
      'Image of the manager.',
    ),
    logLevel: oneOf(LOG_LEVELS, 'info', 'Least level of the lines that it logs.'),
    shardConfigs: flag(
      true,
      'Whether managers run ShardConfigs. Without, for `ksmScale` alone, the chart runs no NATS and makes no fleet.',
    ),
    leaderElection: group(
      {
        leaseDuration: duration('6s', 'A dead leader is replaced after this long.'),
        renewDeadline: duration(
          '4s',
          'A leader that could not renew for this long stops by itself; less than `leaseDuration`.',
        ),
        retryPeriod: duration('1s', 'Time between two tries; less than `renewDeadline`.'),
      },
      'Lease by which one manager leads.',
    ),
    resources: resources({ requests: { cpu: '50m', memory: '128Mi' }, limits: { memory: '512Mi' } }),
    serviceAccount: serviceAccount('manager'),
    podDisruptionBudget: disruptionBudget(),
    ...podValues('Deployment'),
  },
  'The manager decides which shard exports what.',
);

const worker = group(
  {
    image: image({ registry: OUR_REGISTRY, repository: 'shard-controller/worker', tag: '' }, 'Image of the worker.'),
    logLevel: oneOf(LOG_LEVELS, 'info', 'Least level of the lines that it logs.'),
    serviceAccount: serviceAccount('worker'),
  },
  'The workers carry the data. The manager makes their pods; what is set per fleet stands in `shardConfig.spec`.',
);

const exporter = group(
  {
    image: image(
      { registry: EXPORTER_REGISTRY, repository: EXPORTER_REPOSITORY, tag: EXPORTER_TAG },
      'Image of the unmodified kube-state-metrics beside each worker.',
    ),
  },
  'kube-state-metrics in the pods of the default ShardConfig.',
);

const shardConfig = group(
  {
    create: flag(true, 'Whether the chart makes a ShardConfig, so that there is a fleet without a further step.'),
    name: z
      .string()
      .regex(/^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$/)
      .default('cluster-metrics')
      .describe('Its name, and how the worker pods begin.'),
    labels: texts('Its labels, and those of everything that the manager makes for it.'),
    annotations: texts('Its annotations.'),
    keep: flag(
      false,
      'Whether `helm uninstall` leaves it, with the account and the permissions of the workers: they keep serving without a manager.',
    ),
    spec: shardConfigSpecSchema
      .optional()
      .describe(
        'Its spec, as in `kubectl explain shardconfig.spec`, without `exporter`: the chart makes that from `collectors` and the values beside it.',
      ),
  },
  'The default fleet.',
);

const nats = group(
  {
    enabled: flag(true, 'Whether the chart runs NATS; else `externalNats.url` names one.'),
    replicas: z
      .union([z.literal(1), z.literal(3)])
      .default(3)
      .describe('Servers: 1 or 3. With 3 the log outlives the loss of one.'),
    image: pulledImage(
      { registry: 'docker.io', repository: 'library/nats', tag: '2.15.2' },
      'Image of the NATS server.',
    ),
    persistence: group(
      {
        enabled: flag(
          false,
          'Whether each server has a PersistentVolume. Without, its log is in an emptyDir: when all servers lose theirs, the manager rebuilds its state from the ShardInstances, and only the history of decisions is lost.',
        ),
        size: z
          .string()
          .regex(/^[1-9][0-9]{0,5}(Mi|Gi)$/)
          .default('2Gi')
          .describe('Size of the volume, or bound of the emptyDir. Three quarters of it are for the log.'),
        storageClassName: text('', "StorageClass; the cluster's default when empty."),
      },
      'Where the log is.',
    ),
    auth: group(
      {
        enabled: flag(
          true,
          'Whether clients must say who they are: managers by a key that a Job makes, workers by the token of their pod, people by the key in the Secret `<fullname>-nats-inspector`. Without, every client that reaches NATS may do everything.',
        ),
      },
      'Who may connect.',
    ),
    tls: group(
      {
        enabled: flag(
          true,
          'Whether clients and servers talk TLS. The Job makes an authority and a certificate for ten years.',
        ),
        existingSecret: text(
          '',
          'Secret with `ca.crt`, `tls.crt` and `tls.key` instead, as cert-manager makes them. Clients take up new ones by themselves; for the servers restart the StatefulSet.',
        ),
      },
      'What can be read on the way.',
    ),
    resources: resources({ requests: { cpu: '50m', memory: '64Mi' }, limits: { memory: '256Mi' } }),
    podDisruptionBudget: disruptionBudget(),
    ...podValues('StatefulSet'),
  },
  'NATS with JetStream, which holds the log of decisions. It writes each message to disk before it answers.',
);

const externalNats = group(
  {
    url: z
      .string()
      .regex(/^((nats|tls):\/\/[^,\s]+(,(nats|tls):\/\/[^,\s]+)*)?$/)
      .default('')
      .describe(
        'Where your NATS is, version 2.12 or newer with JetStream: `nats://host:4222`, several separated by commas.',
      ),
    replicas: count(1, 5, 1, 'Copies of each stream: 1, or 3 on a cluster of servers.'),
    auth: group(
      {
        kind: z
          .enum(['none', 'credentials', 'nkey', 'token', 'password', 'service-account'])
          .default('none')
          .describe(
            "What managers and workers show: nothing, a credentials file (key `nats.creds` of their Secret), an nkey seed (`nats.nk`), a token (`token`), or a user with a password (`username`, `password`). With `service-account`, workers show the token of their pod and your NATS asks the managers about them (auth callout): the managers' Secret has `nats.nk` and `issuer.nk`.",
          ),
        managerSecret: text('', "Secret with the managers' credentials."),
        workerSecret: text('', "Secret with the workers' credentials."),
        account: text('SHARDS', 'Account of your NATS that workers are in, with `kind: service-account`.'),
      },
      'Who managers and workers are to it.',
    ),
    tls: group(
      {
        caSecret: text(
          '',
          'Secret with the certificate of its authority, `ca.crt`, where no public one has signed it.',
        ),
        certSecret: text('', 'Secret with a client certificate, `tls.crt` and `tls.key`, where it asks for one.'),
      },
      'How it is reached by TLS.',
    ),
  },
  'A NATS of your own instead, with `nats.enabled: false`.',
);

const serviceMonitor = group(
  {
    enabled: flag(
      false,
      'Whether there is one, for the `/metrics` of all shards in the namespace. Needs the Prometheus Operator.',
    ),
    job: text('kube-state-metrics', 'Label `job` of the series: stock alerts and dashboards select this one.'),
    serviceDiscoveryRole: oneOf(
      ['', 'Endpoints', 'EndpointSlice'],
      '',
      'How Prometheus finds the pods, for an operator that knows the field.',
    ),
    ...monitor(),
  },
  'ServiceMonitor for what the shards export.',
);

const selfMonitor = group(
  {
    enabled: flag(
      false,
      'Whether there are PodMonitors for the telemetry of kube-state-metrics, workers and managers. Needs the Prometheus Operator.',
    ),
    ...monitor(),
  },
  'PodMonitors for what the parts say about themselves.',
);

const rbac = group(
  {
    create: flag(true, 'Whether the chart makes Roles, ClusterRoles and their bindings.'),
    namespaced: flag(
      false,
      "Whether no right is cluster-wide: workers read `namespaces` (the release's when empty) through Roles there, and cluster-scoped kinds cannot be exported.",
    ),
    aggregateClusterRoles: flag(
      true,
      "Whether the cluster's roles view, edit and admin get permissions on ShardConfigs; not where `namespaced`.",
    ),
    extraRules: passedOnList('Further rules of what workers may read, as for the kinds of `customResourceState`.'),
  },
  'Rights.',
);

const ksmScale = group(
  {
    enabled: flag(
      false,
      'Whether managers run KSMScales: plain kube-state-metrics pods, as many as the nodes of the cluster ask for. It gives them permissions in the whole cluster, on nodes and KSMScales.',
    ),
    namespaces: z
      .array(z.string().regex(/^(\*|[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)$/))
      .default([])
      .describe("Namespaces that their pods may be in: the release's when empty, all for `['*']`. They must exist."),
    exporterAccount: flag(
      true,
      'Whether the chart makes the ServiceAccount `kube-state-metrics` in each of them, which may read what `collectors` names. Not for all namespaces.',
    ),
  },
  'KSMScale, the scaler by node count.',
);

export const valuesSchema = z
  .strictObject({
    global: z
      .looseObject({
        imageRegistry: text('', 'Registry of all images, instead of their own.'),
        imagePullSecrets: pullSecrets('Secrets for pulling all images.'),
      })
      .optional()
      .describe('Values that a parent chart shares with this one.'),
    enabled: z
      .boolean()
      .optional()
      .describe('For a parent chart, as `condition` of the dependency. Nothing here reads it.'),
    nameOverride: text('', "Instead of the chart's name."),
    fullnameOverride: text('', 'How the names of all objects begin; made of release and chart when empty.'),
    commonLabels: texts('Labels of all objects of the chart and of their pods.'),
    commonAnnotations: texts('Annotations of all objects of the chart.'),
    imagePullSecrets: pullSecrets('Secrets for pulling the images, besides the global ones.'),
    platform: oneOf(
      ['auto', 'kubernetes', 'openshift'],
      'auto',
      'openshift leaves user and group of all pods to the platform; auto finds out by the API groups.',
    ),
    ipFamilyPolicy: oneOf(
      ['', 'SingleStack', 'PreferDualStack', 'RequireDualStack'],
      '',
      "IP families of the chart's Services; the cluster's default when empty.",
    ),
    crds: group(
      {
        enabled: flag(true, 'Whether the chart holds the CustomResourceDefinitions, and upgrades them.'),
        keep: flag(true, 'Whether `helm uninstall` leaves them, and with them all ShardConfigs.'),
      },
      'CustomResourceDefinitions.',
    ),
    rbac,
    ksmScale,
    ...exported,
    exporter,
    shardConfig,
    manager,
    worker,
    nats,
    externalNats,
    serviceMonitor,
    selfMonitor,
  })
  .describe('Values of the chart shard-controller.');
