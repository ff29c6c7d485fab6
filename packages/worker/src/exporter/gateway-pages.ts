import type { ServerResponse } from 'node:http';

/** As kube-state-metrics has it on its own port, so that its links and probes work here too. */
const LANDING = `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>kube-state-metrics, one shard</title></head>
<body>
<h1>kube-state-metrics, one shard</h1>
<p>The series of this shard's objects, served by shard-controller. Scrape all shards to have all objects.</p>
<ul>
<li><a href="/metrics">/metrics</a> (also with <code>?resources=</code> and <code>?exclude_resources=</code>)</li>
<li><a href="/healthz">/healthz</a></li>
</ul>
<p>Telemetry of kube-state-metrics itself: port 8081, /metrics. Of the worker: port 8083, /metrics and /readyz.</p>
</body>
</html>
`;

const PATHS =
  'paths here: /metrics, /healthz, /livez; telemetry of kube-state-metrics: port 8081, of the worker: port 8083';

/** Answers what is no scrape: the landing page, health, and everything that does not exist. */
export function answerPage(path: string, response: ServerResponse): void {
  if (path === '/') return send(response, 200, LANDING, 'text/html; charset=utf-8');
  // Whether this process answers; what a scrape would show is said by the scrape and by the worker's /readyz.
  if (path === '/healthz' || path === '/livez') return say(response, 200, 'OK');
  return say(response, 404, `not found: the metrics are at /metrics (${PATHS})`);
}

/** One line of text; a 503 asks to come back in a second. */
export function say(response: ServerResponse, status: number, text: string): void {
  if (status === 503) response.setHeader('retry-after', '1');
  send(response, status, `${text}\n`, 'text/plain; charset=utf-8');
}

function send(response: ServerResponse, status: number, body: string, contentType: string): void {
  response.writeHead(status, { 'content-type': contentType, 'content-length': Buffer.byteLength(body) });
  response.end(body);
}
