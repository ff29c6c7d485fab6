/** `make up` and `make down`: a cluster that continues in the background. */
import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  FOLDER,
  KUBECONFIG,
  livingOwner,
  LOG,
  makeFolder,
  type Ready,
  readReady,
  removeFolder,
  writeOwner,
} from './folder.ts';
import { CONFIG, NAMESPACE } from './names.ts';

const START_MS = 180_000;
const CONDITION = '--conditions=@shard/source';
const STOP_MS = 30_000;
const say = (text: string): void => void process.stdout.write(`${text}\n`);

async function up(): Promise<number> {
  if (livingOwner() !== undefined) {
    if (readReady() === undefined) say('The playground is being started by another command.');
    else say('The playground runs already.');
    return settled();
  }
  makeFolder();
  say('Starting the playground: a control plane, NATS, six nodes, two managers and a fleet of two shards.');
  const enter = join(import.meta.dirname, '..', 'namespace', 'enter.ts');
  const cluster = join(import.meta.dirname, 'background.ts');
  const log = openSync(LOG, 'a');
  const child = spawn(process.execPath, [CONDITION, enter, '--', process.execPath, CONDITION, cluster], {
    detached: true,
    stdio: ['ignore', log, log],
  });
  closeSync(log);
  if (child.pid === undefined) throw new Error(`${enter} could not be started`);
  writeOwner(child.pid);
  child.unref();
  return settled();
}

/** Waits until the playground is complete or gone, and says which. */
async function settled(): Promise<number> {
  const deadline = performance.now() + START_MS;
  for (;;) {
    const ready = readReady();
    if (ready !== undefined) {
      say(instructions(ready));
      return 0;
    }
    if (livingOwner() === undefined) {
      process.stderr.write(`The playground did not start:\n${logTail()}\n`);
      return 1;
    }
    if (performance.now() > deadline) {
      process.stderr.write(`The playground is not ready after ${START_MS / 1000} s; it goes on. Log: ${LOG}\n`);
      return 1;
    }
    await sleep(100);
  }
}

async function down(): Promise<number> {
  const owner = livingOwner();
  if (owner === undefined) {
    removeFolder();
    say('No playground runs.');
    return 0;
  }
  process.kill(owner, 'SIGTERM');
  const deadline = performance.now() + STOP_MS;
  while (livingOwner() !== undefined) {
    // The kernel ends everything inside with the launcher.
    if (performance.now() > deadline) process.kill(owner, 'SIGKILL');
    await sleep(50);
  }
  removeFolder();
  say('The playground is gone.');
  return 0;
}

function instructions(ready: Ready): string {
  return [
    '',
    ...(ready.shardsReady
      ? []
      : [`The shards are not ready yet: see the logs of the managers in ${FOLDER}/logs/pods.`]),
    `The playground is ready. It goes on in the background until \`make down\`; logs are in ${FOLDER}/logs.`,
    '',
    `  export KUBECONFIG=${KUBECONFIG}`,
    '',
    'What to try:',
    `  kubectl -n ${NAMESPACE} get shardconfigs,shardinstances,pods -o wide`,
    `  kubectl -n ${NAMESPACE} scale shardconfig/${CONFIG} --replicas 4`,
    `  kubectl -n ${NAMESPACE} get shardinstances -w`,
    `  kubectl -n ${NAMESPACE} get events --sort-by .lastTimestamp`,
    `  kubectl -n ${NAMESPACE} delete pod ${CONFIG}-a-0`,
    `  dist/kubectl-shard -n ${NAMESPACE} status`,
    '  kubectl apply -f examples/ksmscale/small-sharded.yaml && kubectl get ksmscales -o wide',
    `  curl -s ${ready.metrics}/                       # the workers`,
    `  curl -s ${ready.metrics}/${CONFIG}-a-0/metrics | grep -c '^kube_pod_info'`,
    '',
  ].join('\n');
}

function logTail(): string {
  try {
    return readFileSync(LOG, 'utf8').trimEnd().split('\n').slice(-15).join('\n');
  } catch {
    return `(no log at ${LOG})`;
  }
}

const command = process.argv[2];
if (command === 'up') process.exitCode = await up();
else if (command === 'down') process.exitCode = await down();
else {
  process.stderr.write('Usage: playground up | down\n');
  process.exitCode = 64;
}
