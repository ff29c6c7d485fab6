/** The bridge's own address: what pods see as the harness (probes and scrapes come from here). */
export const BRIDGE_ADDRESS = '10.88.0.1';
/** The API server and NATS have addresses of their own, so that a pod can be cut off from exactly one of them. */
export const API_SERVER_ADDRESS = '10.88.0.2';
export const NATS_ADDRESS = '10.88.0.3';
export const BRIDGE = 'br0';
export const SUBNET_PREFIX = 16;

/** Left by the set-up in the environment of everything inside. */
export const INSIDE_VARIABLE = 'SHARD_CONTROLLER_INSIDE';
/** Folder shared by inside and outside: sockets of the forwarders and, by default, the cluster's data. */
export const FOLDER_VARIABLE = 'SHARD_CONTROLLER_NS_DIR';

/** The descriptor on which the launcher sends signal names, and whose end of file ends everything inside. */
export const LIFELINE_FD = 3;

/**
 * Makes the namespace usable; shared by the probe and the real start, so that the probe tries exactly what is needed.
 *
 * A bridge takes the lowest MAC address of its ports; when that port goes, every pod keeps a dead neighbour entry for
 * up to a minute. A fixed address avoids it. A fresh /proc matters because the harness finds processes of pods there
 * and signals them: with outer numbers it would hit strangers.
 */
const SETUP = `
set -e
system=$(readlink /run/current-system 2>/dev/null || :)
mount -t proc proc /proc
read -r self rest </proc/self/stat
[ "$self" = "$$" ] || { echo "mount: /proc shows the processes of another namespace" >&2; exit 1; }
mount -t tmpfs -o mode=755 tmpfs /run
[ -z "$system" ] || ln -s "$system" /run/current-system
[ /var/run -ef /run ] || mount --bind /run /var/run
mkdir -p /run/netns
ip link set lo up
ip link add ${BRIDGE} address 02:00:0a:58:00:01 type bridge
ip addr add ${BRIDGE_ADDRESS}/${SUBNET_PREFIX} dev ${BRIDGE}
ip addr add ${API_SERVER_ADDRESS}/${SUBNET_PREFIX} dev ${BRIDGE}
ip addr add ${NATS_ADDRESS}/${SUBNET_PREFIX} dev ${BRIDGE}
ip link set ${BRIDGE} up
set +e
`;

/** Tries everything that the real start needs, then ends. */
export const PROBE_SCRIPT = `${SETUP}\nexit 0\n`;

/**
 * What PID 1 runs: set-up, then the command in the foreground. The shell waits for it with wait(-1) and so reaps every
 * orphan, which Node as PID 1 would not. The watcher forwards signals by name and, at end of file (the launcher is
 * gone, however it died), kills everything: then the command is over too, PID 1 ends and the kernel ends the rest.
 */
export const INIT_SCRIPT = `${SETUP}
{
  while read -r name <&${LIFELINE_FD}; do
    read -r main </run/main.pid && kill -s "$name" "$main"
  done
  kill -s KILL -- -1
} 2>/dev/null &
sh -c 'echo $$ >/run/main.pid; exec "$@"' command "$@" ${LIFELINE_FD}<&-
exit $?
`;
