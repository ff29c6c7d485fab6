import {
  type Agent,
  createServer,
  type IncomingHttpHeaders,
  request,
  type RequestListener,
  type Server,
} from 'node:http';
import { portOf } from '@shard-controller/shared/listening';
import { createLogger } from '@shard-controller/shared/observability';
import { systemClock } from '@shard-controller/shared/runtime';
import { waitUntil } from '@shard-controller/shared/testing';
import { onTestFinished } from 'vitest';
import { ChangeNotifier } from '../../change-notifier.ts';
import type { GatewayState } from '../gateway-state.ts';
import { Gateway, type ScrapeOutcome } from '../gateway.ts';
import type { ScrapeLimits } from '../scrape-limits.ts';
import { ScraperTracker } from '../scraper-tracker.ts';

export const OPEN: GatewayState = { state: 'serving', reason: '', open: true };
export const WARMING: GatewayState = { state: 'warming', reason: 'pods: 3 of 8 slots are loaded', open: false };
export const STARTING_OVER: GatewayState = {
  state: 'warming',
  reason: 'the exporter is opening its watches',
  open: false,
  startsOver: true,
};
export const STANDBY: GatewayState = { state: 'standby', reason: 'replica a of this shard serves', open: false };

export async function listening(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return portOf(server) ?? 0;
}

/** A real HTTP server in the exporter's place. */
export async function exporter(listener: RequestListener): Promise<number> {
  const server = createServer(listener);
  const port = await listening(server);
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return port;
}

export async function gatewayBefore(
  exporterPort: number,
  options: { state?: GatewayState; limits?: Partial<ScrapeLimits> } = {},
) {
  let state = options.state ?? OPEN;
  let looks = 0;
  const outcomes: ScrapeOutcome[] = [];
  const expositions: number[] = [];
  const reachable: boolean[] = [];
  const tracker = new ScraperTracker();
  const changes = new ChangeNotifier();
  const gateway = new Gateway({
    host: '127.0.0.1',
    port: 0,
    exporter: { host: '127.0.0.1', port: exporterPort },
    state: () => {
      looks++;
      return state;
    },
    changes,
    tracker,
    reports: {
      scrape: (outcome) => outcomes.push(outcome),
      held: () => undefined,
      exposition: (bytes) => expositions.push(bytes),
      exporterReachable: (yes) => reachable.push(yes),
    },
    limits: { holdMs: 300, ...options.limits },
    clock: systemClock,
    logger: createLogger({ name: 'test', level: 'silent' }),
  });
  await gateway.start();
  onTestFinished(() => gateway.stop(100));
  const set = (next: GatewayState): void => {
    state = next;
    changes.notify();
  };
  /** Resolves once a scrape has come as far as to be held, or let through. */
  const looked = (): Promise<void> => waitUntil('a scrape has come', () => looks > 0);
  return { gateway, outcomes, expositions, reachable, tracker, set, looked, port: gateway.port };
}

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export async function scrape(
  port: number,
  path = '/metrics',
  headers: Record<string, string> = {},
  method = 'GET',
  agent: Agent | false = false,
): Promise<Answer> {
  return await new Promise((resolve, reject) => {
    const outgoing = request({ host: '127.0.0.1', port, path, method, headers, agent }, (answer) => {
      const chunks: Buffer[] = [];
      answer.on('data', (chunk: Buffer) => chunks.push(chunk));
      answer.on('error', reject);
      answer.on('end', () =>
        resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: Buffer.concat(chunks) }),
      );
    });
    outgoing.on('error', reject);
    outgoing.end();
  });
}

export const text: RequestListener = (_request, response) => {
  response.setHeader('content-type', 'text/plain; version=0.0.4');
  response.write('a 1\n');
  response.end('b 2\n');
};
