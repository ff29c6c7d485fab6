import { at, type GoldenKind, owner, pick, status } from './golden-kind.ts';

/** Everything else that lives in a namespace. */
export const NAMESPACE_KINDS: readonly GoldenKind[] = [
  {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    plural: 'configmaps',
    namespaced: true,
    body: (i) => ({ data: { key: `value-${i}` }, binaryData: { blob: 'AAECAw==' }, immutable: i % 2 === 0 }),
  },
  {
    apiVersion: 'v1',
    kind: 'Secret',
    plural: 'secrets',
    namespaced: true,
    body: (i) => ({
      metadata: owner('ExternalSecret', i),
      type: pick(['Opaque', 'example.com/token'], i),
      stringData: { key: `secret-${i}` },
    }),
  },
  {
    apiVersion: 'v1',
    kind: 'Service',
    plural: 'services',
    namespaced: true,
    body: (i) => ({
      spec: {
        type: pick(['ClusterIP', 'LoadBalancer', 'ExternalName'], i),
        ...(i % 3 === 2 ? { externalName: `svc-${i}.example.com` } : { ports: [{ port: 80 }] }),
        ...(i % 3 === 1 ? { externalIPs: [`192.0.2.${i}`], allocateLoadBalancerNodePorts: false } : {}),
      },
    }),
    patches: (i) =>
      i % 3 === 1
        ? status({ loadBalancer: { ingress: [{ ip: `198.51.100.${i}` }, { hostname: 'lb.example.com' }] } })
        : [],
  },
  {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    plural: 'persistentvolumeclaims',
    namespaced: true,
    body: (i) => ({
      spec: {
        accessModes: ['ReadWriteOnce', 'ReadOnlyMany'],
        storageClassName: 'golden',
        volumeName: `persistentvolume-${i}`,
        resources: { requests: { storage: `${1 + i}Gi` } },
      },
    }),
    patches: (i) =>
      status({
        phase: pick(['Bound', 'Pending', 'Lost'], i),
        conditions: [{ type: 'Resizing', status: 'True', lastTransitionTime: at(i) }],
      }),
  },
  {
    apiVersion: 'v1',
    kind: 'ResourceQuota',
    plural: 'resourcequotas',
    namespaced: true,
    body: (i) => ({ spec: { hard: { 'count/jobs.batch': String(100 + i), 'requests.cpu': '10500m', pods: '50' } } }),
    patches: (i) =>
      status({
        hard: { 'count/jobs.batch': String(100 + i), 'requests.cpu': '10500m', pods: '50' },
        used: { 'count/jobs.batch': String(i), 'requests.cpu': '250m', pods: '3' },
      }),
  },
  {
    apiVersion: 'v1',
    kind: 'LimitRange',
    plural: 'limitranges',
    namespaced: true,
    body: (i) => ({
      spec: {
        limits: [
          { type: 'PersistentVolumeClaim', min: { storage: '1Gi' }, max: { storage: `${100 + i}Gi` } },
          { type: 'Pod', max: { 'example.com/gpu': '64' }, maxLimitRequestRatio: { memory: '3' } },
        ],
      },
    }),
  },
  {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'Ingress',
    plural: 'ingresses',
    namespaced: true,
    body: (i) => ({
      spec: {
        ingressClassName: 'golden',
        tls: [{ hosts: [`a${i}.example.com`, `b${i}.example.com`], secretName: `tls-${i}` }],
        rules: [
          {
            host: `a${i}.example.com`,
            http: {
              paths: [{ path: '/x', pathType: 'Prefix', backend: { service: { name: 's', port: { number: 80 } } } }],
            },
          },
          {
            host: `b${i}.example.com`,
            http: {
              paths: [
                {
                  path: '/',
                  pathType: 'Exact',
                  backend: { resource: { apiGroup: 'example.com', kind: 'Bucket', name: 'b' } },
                },
              ],
            },
          },
        ],
      },
    }),
  },
  {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    plural: 'networkpolicies',
    namespaced: true,
    body: (i) => ({
      spec: {
        podSelector: {},
        policyTypes: ['Ingress', 'Egress'],
        ingress: Array.from({ length: i % 3 }, () => ({})),
        egress: [{}],
      },
    }),
  },
  {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    plural: 'endpointslices',
    namespaced: true,
    body: (i) => ({
      addressType: 'IPv4',
      endpoints: [
        {
          addresses: [`10.90.0.${i}`, `10.90.1.${i}`],
          conditions: { ready: i % 2 === 0, serving: true, terminating: false },
          hostname: `host-${i}`,
          nodeName: `node-${i % 4}`,
          zone: 'zone-a',
          targetRef: { kind: 'Pod', name: `pod-${i}`, namespace: 'alpha' },
          hints: { forZones: [{ name: 'zone-a' }, { name: 'zone-b' }] },
        },
      ],
      ports: [{ name: 'http', port: 80, protocol: 'TCP', appProtocol: 'http' }],
    }),
  },
  {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    plural: 'leases',
    namespaced: true,
    body: (i) => ({
      metadata: owner('Node', i),
      spec: {
        holderIdentity: `holder-${i}`,
        leaseDurationSeconds: 15,
        renewTime: `2024-05-01T10:00:${String(i % 60).padStart(2, '0')}.123456Z`,
      },
    }),
  },
];
