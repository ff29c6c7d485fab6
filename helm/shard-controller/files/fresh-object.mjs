// Waits until this pod's own series is in the /metrics of one of the shards.
import { lookup } from 'node:dns/promises';
import { setTimeout as sleep } from 'node:timers/promises';

const PATIENCE_MS = 120_000;

const { POD_NAME: pod, POD_NAMESPACE: namespace, SERVICE: service } = process.env;
const port = process.env.PORT ?? '8080';
const series = `kube_pod_info{namespace="${namespace}",pod="${pod}",`;
const begin = Date.now();

async function look() {
  const addresses = await lookup(service, { all: true });
  const answers = await Promise.all(
    addresses.map(async ({ address, family }) => {
      const host = family === 6 ? `[${address}]` : address;
      try {
        const response = await fetch(`http://${host}:${port}/metrics`, { signal: AbortSignal.timeout(20_000) });
        const text = await response.text();
        if (response.ok) return text.includes(series) ? 'has it' : 'does not have it';
        return `${response.status} ${text.slice(0, 200).trim()}`;
      } catch (error) {
        return `${error.message}: ${error.cause?.message}`;
      }
    }),
  );
  const which = addresses.filter((_, index) => answers[index] === 'has it').map(({ address }) => address);
  return { which, seen: addresses.map(({ address }, index) => `${address} ${answers[index]}`).join('; ') };
}

for (;;) {
  const { which, seen } = await look().catch((error) => ({ which: [], seen: `${service}: ${error.message}` }));
  if (which.length > 0) {
    console.log(`${series}…} arrived at ${which.join(', ')} after ${(Date.now() - begin) / 1000} s`);
    process.exit(0);
  }
  if (Date.now() - begin > PATIENCE_MS) {
    console.error(`${series}…} is at no shard after ${PATIENCE_MS / 1000} s: ${seen}`);
    process.exit(1);
  }
  await sleep(1000);
}
