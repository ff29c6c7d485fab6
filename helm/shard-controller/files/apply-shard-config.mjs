// Applies the ShardConfig of the chart by server-side apply. Fields that somebody else has set, as an autoscaler does with
// spec.shards, are not taken from them.
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const FOLDER = '/var/run/secrets/kubernetes.io/serviceaccount';
const PATIENCE_MS = 120_000;

const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port, OWNER: owner } = process.env;
const server = `https://${host.includes(':') ? `[${host}]` : host}:${port}`;
const token = readFileSync(process.env.TOKEN_FILE ?? `${FOLDER}/token`, 'utf8').trim();
const object = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const { name, namespace, labels } = object.metadata;
const path = `/apis/shard.io/v1/namespaces/${namespace}/shardconfigs/${name}`;
const end = Date.now() + PATIENCE_MS;

async function call(target, options = {}) {
  const headers = { authorization: `Bearer ${token}`, accept: 'application/json', ...options.headers };
  const response = await fetch(server + target, { ...options, headers, signal: AbortSignal.timeout(10_000) });
  const body = await response.json().catch(() => ({}));
  return { status: response.status, body, message: `${response.status} ${body.message ?? response.statusText}` };
}

function fail(text) {
  console.error(text);
  process.exit(1);
}

// A definition or a right that was made a moment ago may not be in force yet.
async function settled(target, isFinal) {
  for (;;) {
    const answer = await call(target).catch((error) => ({ status: 0, message: `${error.message}: ${error.cause?.message}` }));
    if (isFinal(answer)) return answer;
    if (Date.now() > end) fail(`GET ${target}: ${answer.message}`);
    await sleep(500);
  }
}

if (owner) {
  const account = await settled(`/api/v1/namespaces/${namespace}/serviceaccounts/${owner}`, ({ status }) => status === 200);
  object.metadata.ownerReferences = [{ apiVersion: 'v1', kind: 'ServiceAccount', name: owner, uid: account.body.metadata.uid }];
}

const absent = ({ status, body }) => status === 404 && body.details?.name === name;
const present = await settled(path, (answer) => answer.status === 200 || absent(answer));
const release = 'app.kubernetes.io/instance';
const chart = 'app.kubernetes.io/part-of';
const found = present.body.metadata?.labels ?? {};
if (present.status === 200 && (found[chart] !== labels[chart] || found[release] !== labels[release])) {
  fail(
    `ShardConfig ${namespace}/${name} exists and is not of this release; it is left as it is. Remedy: set ` +
      `shardConfig.name to another name, or shardConfig.create=false`,
  );
}

const applied = await call(`${path}?fieldManager=helm&fieldValidation=Strict`, {
  method: 'PATCH',
  headers: { 'content-type': 'application/apply-patch+yaml' },
  body: JSON.stringify(object),
});
if (applied.status === 409) {
  fail(
    `ShardConfig ${namespace}/${name}: ${applied.message}. Remedy: leave fields that somebody else sets out of ` +
      `shardConfig.spec, or take them back with kubectl apply --server-side --force-conflicts --field-manager=helm`,
  );
}
if (applied.status >= 300) fail(`ShardConfig ${namespace}/${name} is refused: ${applied.message}`);
console.log(`ShardConfig ${namespace}/${name} is applied`);
