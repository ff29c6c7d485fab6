import { readdir } from 'node:fs/promises';
import { API_SERVER_ADDRESS, BRIDGE, BRIDGE_ADDRESS, NATS_ADDRESS, SUBNET_PREFIX } from '../../namespace/index.ts';
import { run } from './command.ts';
import type { PodAddress } from './pod-addresses.ts';

const FOLDER = '/run/netns';

/** Who a pod can be cut off from. */
export type Peer = 'api-server' | 'nats' | 'everything';

const PEER_ADDRESS = { 'api-server': API_SERVER_ADDRESS, nats: NATS_ADDRESS } as const;

/** A hardware address that no machine has: what is sent there disappears without an answer, as in a real partition. */
const NOBODY = '02:00:00:00:00:99';

/** The file that nsenter takes. */
export function networkFile(id: string): string {
  return `${FOLDER}/${id}`;
}

/** A network namespace with its own 127.0.0.1 and one address on the bridge. About 6 ms. */
export async function createPodNetwork(address: PodAddress): Promise<void> {
  const { id, ip, mac } = address;
  await run(
    ['ip', '-batch', '-'],
    [
      `netns add ${id}`,
      `link add ${id} type veth peer name eth0 address ${mac} netns ${id}`,
      `link set ${id} master ${BRIDGE} up`,
      '',
    ].join('\n'),
  );
  // Not `ip netns exec`, and not `ip -n`: both mount /sys again, which masked parts of /sys forbid.
  await run(
    ['nsenter', `--net=${networkFile(id)}`, 'ip', '-batch', '-'],
    [
      'link set lo up',
      `addr add ${ip}/${SUBNET_PREFIX} dev eth0`,
      'link set eth0 up',
      `route add default via ${BRIDGE_ADDRESS}`,
      '',
    ].join('\n'),
  );
}

/** Also removes the bridge port. Idempotent. */
export async function deletePodNetwork(id: string): Promise<void> {
  try {
    await run(['ip', 'netns', 'delete', id]);
  } catch (error) {
    if ((await podNetworkNames()).includes(id)) throw error;
  }
}

export async function podNetworkNames(): Promise<readonly string[]> {
  try {
    return await readdir(FOLDER);
  } catch {
    return [];
  }
}

/** Silent: packets vanish, the link stays up, nothing is refused. */
export async function cutPodNetwork(id: string, peer: Peer): Promise<void> {
  if (peer === 'everything') await run(['bridge', 'link', 'set', 'dev', id, 'state', '0']);
  else await inPod(id, 'neigh', 'replace', PEER_ADDRESS[peer], 'lladdr', NOBODY, 'dev', 'eth0', 'nud', 'permanent');
}

/** Undoes {@link cutPodNetwork}. New connections work at once, old ones when their retransmission timer is over. */
export async function healPodNetwork(id: string, peer: Peer): Promise<void> {
  if (peer === 'everything') await run(['bridge', 'link', 'set', 'dev', id, 'state', '3']);
  else await inPod(id, 'neigh', 'del', PEER_ADDRESS[peer], 'dev', 'eth0');
}

async function inPod(id: string, ...args: string[]): Promise<void> {
  await run(['nsenter', `--net=${networkFile(id)}`, 'ip', ...args]);
}
