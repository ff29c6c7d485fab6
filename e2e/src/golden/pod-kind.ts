import { at, type Fields, type GoldenKind, owner, pick, status } from './golden-kind.ts';

const resources = (i: number): Fields => ({
  requests: { cpu: `${10 + i}m`, memory: `${16 + i}Mi`, 'ephemeral-storage': '1Gi' },
  limits: { cpu: '1500m', memory: '1Gi', 'example.com/gpu': '2' },
});

const condition = (type: string, value: string, i: number, reason?: string): Fields => ({
  type,
  status: value,
  lastTransitionTime: at(10 + i),
  ...(reason === undefined ? {} : { reason }),
});

/** A life cycle stage for each pod: running, crashing, waiting, done, failed, evicted, unschedulable. */
function podStatus(i: number): Fields {
  const started = { startTime: at(5 + i), qosClass: 'Burstable', hostIP: '10.1.0.1', podIP: `10.2.0.${i % 250}` };
  const base = { name: 'app', image: 'registry.example/app:1', imageID: `registry.example/app@sha256:${i}` };
  const running = {
    ...base,
    ready: true,
    restartCount: i,
    started: true,
    state: { running: { startedAt: at(7 + i) } },
  };
  const ended = {
    exitCode: i % 3,
    reason: i % 3 === 0 ? 'Completed' : 'Error',
    startedAt: at(7),
    finishedAt: at(9 + i),
  };
  const init = {
    ...base,
    name: 'init',
    ready: true,
    restartCount: 0,
    state: { terminated: { ...ended, exitCode: 0 } },
  };
  const initialized = [
    condition('PodScheduled', 'True', i),
    condition('Initialized', 'True', i),
    condition('ContainersReady', 'True', i),
    condition('Ready', 'True', i),
  ];
  switch (i % 7) {
    case 0:
      return {
        ...started,
        phase: 'Running',
        podIPs: [{ ip: `10.2.0.${i % 250}` }, { ip: `fd00::${i}` }],
        conditions: initialized,
        initContainerStatuses: [init],
        containerStatuses: [running],
      };
    case 1: {
      const state = { waiting: { reason: 'CrashLoopBackOff', message: 'back-off' } };
      const crashed = {
        ...running,
        ready: false,
        started: false,
        state,
        lastState: { terminated: { ...ended, exitCode: 137, reason: 'OOMKilled' } },
      };
      return { ...started, phase: 'Running', conditions: initialized.slice(0, 2), containerStatuses: [crashed] };
    }
    case 2:
      return {
        ...started,
        phase: 'Pending',
        conditions: initialized.slice(0, 1),
        initContainerStatuses: [
          {
            ...init,
            ready: false,
            state: { waiting: { reason: 'ImagePullBackOff' } },
            lastState: { terminated: ended },
          },
        ],
        containerStatuses: [{ ...running, ready: false, state: { waiting: { reason: 'ContainerCreating' } } }],
      };
    case 3:
      return {
        ...started,
        phase: 'Succeeded',
        conditions: initialized.slice(0, 2),
        containerStatuses: [{ ...running, ready: false, state: { terminated: { ...ended, exitCode: 0 } } }],
      };
    case 4:
      return {
        ...started,
        phase: 'Failed',
        reason: 'Evicted',
        message: 'low on memory',
        containerStatuses: [{ ...running, ready: false, state: { terminated: ended } }],
      };
    case 5:
      return {
        phase: 'Pending',
        qosClass: 'Burstable',
        conditions: [condition('PodScheduled', 'False', i, 'Unschedulable')],
      };
    default:
      return {
        ...started,
        phase: 'Failed',
        conditions: [...initialized.slice(0, 1), condition('DisruptionTarget', 'True', i, 'PreemptionByScheduler')],
      };
  }
}

export const POD: GoldenKind = {
  apiVersion: 'v1',
  kind: 'Pod',
  plural: 'pods',
  namespaced: true,
  body: (i) => ({
    metadata: owner(pick(['ReplicaSet', 'Job', 'DaemonSet'], i), i),
    spec: {
      ...(i % 7 === 5 ? {} : { nodeName: `node-${i % 4}` }),
      restartPolicy: pick(['Always', 'OnFailure', 'Never'], i),
      schedulerName: i % 2 === 0 ? 'default-scheduler' : 'own-scheduler',
      serviceAccountName: 'builder',
      priority: 0,
      terminationGracePeriodSeconds: 0,
      runtimeClassName: 'golden',
      automountServiceAccountToken: false,
      nodeSelector: { disk: 'ssd', zone: `zone-${i % 3}` },
      tolerations: [
        { key: 'dedicated', operator: 'Equal', value: `team-${i}`, effect: 'NoSchedule' },
        { key: 'spot', operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 30 + i },
      ],
      resourceClaims: [{ name: 'gpu', resourceClaimTemplateName: 'gpu' }],
      volumes: [{ name: 'data', persistentVolumeClaim: { claimName: `claim-${i}`, readOnly: i % 2 === 0 } }],
      initContainers: [{ name: 'init', image: 'registry.example/init:1', resources: resources(i) }],
      containers: [
        {
          name: 'app',
          image: 'registry.example/app:1',
          resources: resources(i),
          volumeMounts: [{ name: 'data', mountPath: '/data', readOnly: i % 2 === 0 }],
        },
      ],
    },
  }),
  patches: (i) => status(podStatus(i)),
};
