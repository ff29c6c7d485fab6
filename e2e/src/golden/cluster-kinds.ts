import { at, type Fields, type GoldenKind, pick, status } from './golden-kind.ts';

const webhook = (i: number): Fields => ({
  name: `hook-${i}.golden.example.com`,
  admissionReviewVersions: ['v1'],
  sideEffects: 'None',
  failurePolicy: 'Ignore',
  // Matches nothing: the group does not exist.
  rules: [{ apiGroups: ['none.example.com'], apiVersions: ['v1'], operations: ['CREATE'], resources: ['none'] }],
  clientConfig: { service: { name: `service-${i}`, namespace: 'alpha', path: '/hook' } },
});

const matchConstraints = {
  resourceRules: [
    { apiGroups: ['none.example.com'], apiVersions: ['v1'], operations: ['CREATE'], resources: ['none'] },
  ],
};

/** A PKCS#10 request for CN=golden in PEM, base64; its key is thrown away. */
const CERTIFICATE_REQUEST = [
  'LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlITE1ITUNBUUF3RVRFUE1BMEdBMVVFQXd3R1oyOXNaR1Z1TUZr',
  'd0V3WUhLb1pJemowQ0FRWUlLb1pJemowRApBUWNEUWdBRWJHZjE2c0lOMFRiNnp6KzRRMlhoTmxzTFZmS3dQTHRvOUoxYXpIREwv',
  'c2F6WG5lQ214WjZhS0t6ClYyL0VQbUdIRFhZTUFPYjhQcnAxalBwMUZPVjJscUFBTUFvR0NDcUdTTTQ5QkFNQ0EwZ0FNRVVDSVFD',
  'NHBRQTMKZDViTTJsWURXbSs3WDZiVDVGQXV3Ym1VMjRiSzVtQ1B1c0JwVmdJZ1YwdVVGNjQrUWx5WlRXT29CMXVWdTRreApwSDgx',
  'ZFRzMCtZZ21PZjZSTWJFPQotLS0tLUVORCBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0K',
].join('');

/** Cluster-scoped kinds. */
export const CLUSTER_KINDS: readonly GoldenKind[] = [
  {
    apiVersion: 'v1',
    kind: 'Node',
    plural: 'nodes',
    namespaced: false,
    body: (i) => ({
      metadata: { labels: { 'node-role.kubernetes.io/worker': '', [`node-role.kubernetes.io/role-${i}`]: '' } },
      spec: {
        podCIDRs: [`10.${i}.0.0/24`],
        podCIDR: `10.${i}.0.0/24`,
        providerID: `golden://zone/${i}`,
        unschedulable: i % 2 === 0,
        taints: [{ key: 'dedicated', value: `team-${i}`, effect: 'NoSchedule' }],
      },
    }),
    patches: (i) =>
      status({
        capacity: { cpu: '4', memory: '16Gi', pods: '110', 'ephemeral-storage': '100Gi', 'example.com/gpu': '2' },
        allocatable: { cpu: '3800m', memory: '15Gi', pods: '110', 'example.com/gpu': '2' },
        addresses: [
          { type: 'InternalIP', address: `10.1.0.${i}` },
          { type: 'Hostname', address: `node-${i}` },
        ],
        conditions: [
          {
            type: 'Ready',
            status: pick(['True', 'False', 'Unknown'], i),
            lastHeartbeatTime: at(i),
            lastTransitionTime: at(i),
          },
          { type: 'MemoryPressure', status: 'False' },
        ],
        nodeInfo: {
          machineID: `m${i}`,
          systemUUID: `s${i}`,
          bootID: 'b',
          kernelVersion: '6.1',
          osImage: 'Golden OS "1"',
          containerRuntimeVersion: 'containerd://2',
          kubeletVersion: 'v1.37.1',
          kubeProxyVersion: '',
          operatingSystem: 'linux',
          architecture: 'amd64',
        },
      }),
  },
  {
    apiVersion: 'v1',
    kind: 'Namespace',
    plural: 'namespaces',
    namespaced: false,
    body: () => ({}),
    patches: () =>
      status({ conditions: [{ type: 'NamespaceContentRemaining', status: 'False', reason: 'ContentRemoved' }] }),
  },
  {
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    plural: 'persistentvolumes',
    namespaced: false,
    body: (i) => ({
      spec: {
        capacity: { storage: `${1 + i}Gi` },
        accessModes: ['ReadWriteOnce', 'ReadWriteMany'],
        storageClassName: 'golden',
        volumeMode: pick(['Filesystem', 'Block'], i),
        persistentVolumeReclaimPolicy: 'Retain',
        claimRef: { apiVersion: 'v1', kind: 'PersistentVolumeClaim', namespace: 'alpha', name: `claim-${i}` },
        ...pick<Fields>(
          [
            {
              csi: {
                driver: 'csi.example.com',
                volumeHandle: `vol-${i}`,
                volumeAttributes: { mounter: 'fuse', server: 's' },
              },
            },
            { nfs: { server: 'nfs.example.com', path: `/export/${i}` } },
            {
              iscsi: {
                targetPortal: '10.0.0.1:3260',
                iqn: 'iqn.2001-04.com.example:storage.disk1',
                lun: i,
                initiatorName: 'iqn.2001-04.com.example:node',
              },
            },
          ],
          i,
        ),
      },
    }),
    patches: (i) => status({ phase: pick(['Bound', 'Available', 'Released', 'Failed'], i) }),
  },
  {
    apiVersion: 'storage.k8s.io/v1',
    kind: 'StorageClass',
    plural: 'storageclasses',
    namespaced: false,
    body: (i) => ({
      provisioner: 'csi.example.com',
      reclaimPolicy: pick(['Delete', 'Retain'], i),
      volumeBindingMode: pick(['Immediate', 'WaitForFirstConsumer'], i),
      metadata: { annotations: { 'storageclass.kubernetes.io/is-default-class': 'false' } },
    }),
  },
  {
    apiVersion: 'storage.k8s.io/v1',
    kind: 'VolumeAttachment',
    plural: 'volumeattachments',
    namespaced: false,
    body: (i) => ({
      spec: { attacher: 'csi.example.com', nodeName: `node-${i % 4}`, source: { persistentVolumeName: `pv-${i}` } },
    }),
    patches: (i) => status({ attached: i % 2 === 0, attachmentMetadata: { device: `/dev/sd${i}`, serial: `s${i}` } }),
  },
  {
    apiVersion: 'certificates.k8s.io/v1',
    kind: 'CertificateSigningRequest',
    plural: 'certificatesigningrequests',
    namespaced: false,
    body: () => ({
      spec: { request: CERTIFICATE_REQUEST, signerName: 'example.com/golden', usages: ['digital signature'] },
    }),
    patches: (i) => {
      const condition = { status: 'True', reason: 'Golden', message: 'by hand', lastUpdateTime: at(i) };
      if (i % 3 === 0) return [['approval', { status: { conditions: [{ ...condition, type: 'Approved' }] } }]];
      if (i % 3 === 1) return [['approval', { status: { conditions: [{ ...condition, type: 'Denied' }] } }]];
      return [];
    },
  },
  {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'ValidatingWebhookConfiguration',
    plural: 'validatingwebhookconfigurations',
    namespaced: false,
    body: (i) => ({ webhooks: [webhook(i), webhook(i + 100)] }),
  },
  {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'MutatingWebhookConfiguration',
    plural: 'mutatingwebhookconfigurations',
    namespaced: false,
    body: (i) => ({ webhooks: [webhook(i)] }),
  },
  {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'ValidatingAdmissionPolicy',
    plural: 'validatingadmissionpolicies',
    namespaced: false,
    body: (i) => ({
      spec: { failurePolicy: pick(['Ignore', 'Fail'], i), matchConstraints, validations: [{ expression: 'true' }] },
    }),
  },
  {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'ValidatingAdmissionPolicyBinding',
    plural: 'validatingadmissionpolicybindings',
    namespaced: false,
    body: (i) => ({
      spec: {
        policyName: `policy-${i}`,
        validationActions: pick([['Deny'], ['Warn', 'Audit']], i),
        matchResources: matchConstraints,
      },
    }),
  },
  {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'MutatingAdmissionPolicy',
    plural: 'mutatingadmissionpolicies',
    namespaced: false,
    body: (i) => ({
      spec: {
        failurePolicy: pick(['Ignore', 'Fail'], i),
        reinvocationPolicy: 'Never',
        matchConstraints,
        mutations: [{ patchType: 'ApplyConfiguration', applyConfiguration: { expression: 'Object{}' } }],
      },
    }),
  },
  {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'MutatingAdmissionPolicyBinding',
    plural: 'mutatingadmissionpolicybindings',
    namespaced: false,
    body: (i) => ({ spec: { policyName: `policy-${i}` } }),
  },
];
