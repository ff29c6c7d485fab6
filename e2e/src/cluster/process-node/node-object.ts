import { BRIDGE_ADDRESS } from '../../namespace/index.ts';
import { timestamp } from './container-status.ts';

/** How long the API server's node controller trusts one renewal, seconds; the kubelet's own figures. */
const LEASE_SECONDS = 40;
export const HEARTBEAT_MS = 10_000;

export function nodeObject(name: string, labels: Readonly<Record<string, string>>): Record<string, unknown> {
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      name,
      labels: {
        'kubernetes.io/hostname': name,
        'kubernetes.io/os': 'linux',
        'kubernetes.io/arch': process.arch === 'x64' ? 'amd64' : process.arch,
        ...labels,
      },
    },
    spec: {},
  };
}

/** Generous: the scheduler must never be the reason why a pod of the harness waits. */
export function nodeStatus(name: string, maxPods: number, nowMs: number): Record<string, unknown> {
  const amounts = { cpu: '32', memory: '64Gi', 'ephemeral-storage': '100Gi', pods: String(maxPods) };
  const healthy = (type: string, status: string, reason: string): Record<string, string> => ({
    type,
    status,
    reason,
    message: reason,
    lastHeartbeatTime: timestamp(nowMs),
    lastTransitionTime: timestamp(nowMs),
  });
  return {
    addresses: [
      { type: 'InternalIP', address: BRIDGE_ADDRESS },
      { type: 'Hostname', address: name },
    ],
    capacity: amounts,
    allocatable: amounts,
    conditions: [
      healthy('Ready', 'True', 'ProcessNodeReady'),
      healthy('MemoryPressure', 'False', 'EnoughMemory'),
      healthy('DiskPressure', 'False', 'EnoughDisk'),
      healthy('PIDPressure', 'False', 'EnoughProcesses'),
    ],
    nodeInfo: {
      architecture: process.arch === 'x64' ? 'amd64' : process.arch,
      operatingSystem: 'linux',
      osImage: 'process node',
      kernelVersion: '',
      containerRuntimeVersion: 'process://1',
      kubeletVersion: 'v1.37.1-process-node',
      kubeProxyVersion: '',
      machineID: name,
      systemUUID: name,
      bootID: name,
    },
  };
}

/** The kubelet's own form of a heartbeat. */
export function leaseObject(name: string, nowMs: number): Record<string, unknown> {
  return {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: { name, namespace: 'kube-node-lease' },
    spec: {
      holderIdentity: name,
      leaseDurationSeconds: LEASE_SECONDS,
      renewTime: new Date(nowMs).toISOString().replace('Z', '000Z'),
    },
  };
}
