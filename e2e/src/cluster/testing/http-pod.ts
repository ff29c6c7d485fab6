/**
 * The program behind the image `http-pod` of the cluster's own tests: a small HTTP server whose health can be changed
 * from outside, and which says what it sees.
 */
import { appendFileSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';

const TOKEN = '/var/run/secrets/kubernetes.io/serviceaccount/token';
let ready = true;
let alive = true;

const routes: Readonly<Record<string, () => string | undefined>> = {
  '/env': () => JSON.stringify(process.env),
  '/token': () => read(TOKEN),
  '/pid': () => String(process.pid),
  '/ready': () => (ready ? 'ready' : undefined),
  '/alive': () => (alive ? 'alive' : undefined),
  '/become/unready': () => String((ready = false)),
  '/become/ready': () => String((ready = true)),
  '/become/dead': () => String((alive = false)),
  '/pre-stop': () => note('pre-stop'),
  '/exit': () => {
    setTimeout(() => process.exit(3), 10);
    return 'exiting';
  },
};

createServer((request, response) => {
  const url = new URL(request.url ?? '/', 'http://pod');
  const file = url.searchParams.get('file');
  const text = file === null ? routes[url.pathname]?.() : read(file);
  response.writeHead(text === undefined ? 503 : 200).end(text ?? 'no');
}).listen(8080, '0.0.0.0', () => note('started'));

process.on('SIGTERM', () => {
  note('SIGTERM');
  if (process.env['IGNORE_SIGTERM'] !== '1')
    setTimeout(() => process.exit(0), Number(process.env['EXIT_DELAY_MS'] ?? 0));
});

function note(what: string): string {
  if (process.env['NOTES'] !== undefined) appendFileSync(process.env['NOTES'], `${process.env['POD_NAME']} ${what}\n`);
  process.stdout.write(`${what}\n`);
  return what;
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
