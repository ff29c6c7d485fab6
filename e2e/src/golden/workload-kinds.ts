import { at, type GoldenKind, owner, pick, selector, status, template } from './golden-kind.ts';

const jobTemplate = { ...template, spec: { containers: [{ name: 'app', image: 'app:1' }], restartPolicy: 'Never' } };

/** Workloads: apps, batch, autoscaling, policy. */
export const WORKLOAD_KINDS: readonly GoldenKind[] = [
  {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    plural: 'deployments',
    namespaced: true,
    body: (i) => ({
      spec: {
        replicas: i,
        paused: i % 2 === 0,
        strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: '25%', maxUnavailable: 1 + i } },
        selector,
        template,
      },
    }),
    patches: (i) =>
      status({
        observedGeneration: 1,
        replicas: i + 2,
        readyReplicas: i,
        availableReplicas: i,
        unavailableReplicas: 2,
        updatedReplicas: i + 1,
        terminatingReplicas: 1,
        conditions: [
          { type: 'Available', status: pick(['True', 'False', 'Unknown'], i), reason: 'MinimumReplicasAvailable' },
          { type: 'Progressing', status: 'True', reason: 'NewReplicaSetAvailable' },
        ],
      }),
  },
  {
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    plural: 'replicasets',
    namespaced: true,
    body: (i) => ({ metadata: owner('Deployment', i), spec: { replicas: i, selector, template } }),
    patches: (i) =>
      status({
        terminatingReplicas: 2,
        replicas: i + 1,
        fullyLabeledReplicas: i,
        readyReplicas: i,
        availableReplicas: i,
        observedGeneration: 1,
      }),
  },
  {
    apiVersion: 'apps/v1',
    kind: 'StatefulSet',
    plural: 'statefulsets',
    namespaced: true,
    body: (i) => ({
      spec: {
        replicas: i,
        serviceName: 'golden',
        ordinals: { start: i },
        persistentVolumeClaimRetentionPolicy: { whenDeleted: pick(['Retain', 'Delete'], i), whenScaled: 'Retain' },
        selector,
        template,
      },
    }),
    patches: (i) =>
      status({
        observedGeneration: 1,
        replicas: i + 3,
        readyReplicas: i,
        availableReplicas: i,
        currentReplicas: i,
        updatedReplicas: i,
        currentRevision: `golden-${i}`,
        updateRevision: `golden-${i + 1}`,
      }),
  },
  {
    apiVersion: 'apps/v1',
    kind: 'DaemonSet',
    plural: 'daemonsets',
    namespaced: true,
    body: () => ({ spec: { selector, template } }),
    patches: (i) =>
      status({
        observedGeneration: 1,
        currentNumberScheduled: i,
        desiredNumberScheduled: i + 1,
        numberAvailable: i,
        numberMisscheduled: 1,
        numberReady: i,
        numberUnavailable: 1,
        updatedNumberScheduled: i,
      }),
  },
  {
    apiVersion: 'v1',
    kind: 'ReplicationController',
    plural: 'replicationcontrollers',
    namespaced: true,
    body: (i) => ({
      metadata: owner('DeploymentConfig', i),
      spec: { replicas: i, selector: { app: 'golden' }, template },
    }),
    patches: (i) =>
      status({
        replicas: i + 1,
        fullyLabeledReplicas: i,
        readyReplicas: i,
        availableReplicas: i,
        observedGeneration: 1,
      }),
  },
  {
    apiVersion: 'batch/v1',
    kind: 'Job',
    plural: 'jobs',
    namespaced: true,
    body: (i) => ({
      metadata: owner('CronJob', i),
      spec: {
        parallelism: 2,
        completions: 2,
        activeDeadlineSeconds: 600 + i,
        suspend: i % 3 === 2,
        template: jobTemplate,
      },
    }),
    patches: (i) => {
      if (i % 3 === 0) return status({ startTime: at(i), active: 2, ready: 1, failed: i, uncountedTerminatedPods: {} });
      if (i % 3 === 2) return status({ conditions: [{ type: 'Suspended', status: 'True', reason: 'JobSuspended' }] });
      const since = { status: 'True', lastProbeTime: at(60 + i), lastTransitionTime: at(60 + i) };
      if (i % 2 === 0) {
        const done = ['SuccessCriteriaMet', 'Complete'].map((type) => ({
          type,
          reason: 'CompletionsReached',
          ...since,
        }));
        return status({ startTime: at(i), completionTime: at(60 + i), succeeded: 2, conditions: done });
      }
      const ended = ['FailureTarget', 'Failed'].map((type) => ({ type, reason: 'BackoffLimitExceeded', ...since }));
      return status({ startTime: at(i), failed: 1 + i, conditions: ended });
    },
  },
  {
    apiVersion: 'batch/v1',
    kind: 'CronJob',
    plural: 'cronjobs',
    namespaced: true,
    body: (i) => ({
      spec: {
        schedule: `${i % 60} 3 * * *`,
        timeZone: 'Etc/UTC',
        concurrencyPolicy: pick(['Allow', 'Forbid', 'Replace'], i),
        suspend: i % 2 === 0,
        startingDeadlineSeconds: 30 + i,
        successfulJobsHistoryLimit: 3,
        failedJobsHistoryLimit: 1,
        jobTemplate: { spec: { template: jobTemplate } },
      },
    }),
    patches: (i) =>
      status({
        active: [{ kind: 'Job', name: `job-${i}`, apiVersion: 'batch/v1' }],
        lastScheduleTime: at(i),
        lastSuccessfulTime: at(i + 1),
      }),
  },
  {
    apiVersion: 'autoscaling/v2',
    kind: 'HorizontalPodAutoscaler',
    plural: 'horizontalpodautoscalers',
    namespaced: true,
    body: (i) => ({
      spec: {
        minReplicas: 1,
        maxReplicas: 5 + i,
        scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: `deployment-${i}` },
        behavior: { scaleUp: { tolerance: '0.05' }, scaleDown: { tolerance: '0.2' } },
        metrics: [
          { type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 60 + i } } },
          { type: 'Pods', pods: { metric: { name: 'rps' }, target: { type: 'AverageValue', averageValue: '12500m' } } },
        ],
      },
    }),
    patches: (i) =>
      status({
        currentReplicas: i,
        desiredReplicas: i + 1,
        currentMetrics: [
          { type: 'Resource', resource: { name: 'cpu', current: { averageUtilization: 40 + i, averageValue: '40m' } } },
        ],
        conditions: [{ type: 'AbleToScale', status: 'True', reason: 'ReadyForNewScale', lastTransitionTime: at(i) }],
      }),
  },
  {
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    plural: 'poddisruptionbudgets',
    namespaced: true,
    body: (i) => ({ spec: { maxUnavailable: i, selector } }),
    patches: (i) =>
      status({
        observedGeneration: 1,
        currentHealthy: i,
        desiredHealthy: i + 1,
        disruptionsAllowed: 2,
        expectedPods: i + 3,
      }),
  },
];
