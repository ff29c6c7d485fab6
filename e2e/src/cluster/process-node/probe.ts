import { request } from 'node:http';
import { connect } from 'node:net';
import type { Clock } from '@shard-controller/shared/runtime';
import type { Container, HttpGet, Probe } from './pod.ts';
import { portNumber } from './pod.ts';

/** Undefined when the check passed, else why not. */
export type CheckResult = string | undefined;
type RunInContainer = (command: readonly string[], timeoutMs: number) => Promise<CheckResult>;

export interface ProbeTarget {
  readonly container: Container;
  readonly podIp: string;
  readonly exec: RunInContainer;
}

/** One try, bounded by the probe's own time-out. Never rejects. */
export function check(probe: Probe, target: ProbeTarget): Promise<CheckResult> {
  const timeoutMs = (probe.timeoutSeconds ?? 1) * 1000;
  if (probe.httpGet !== undefined) return get(probe.httpGet, target, timeoutMs);
  if (probe.tcpSocket !== undefined) {
    const port = portNumber(probe.tcpSocket.port, target.container);
    if (port === undefined) return Promise.resolve(`no port named ${probe.tcpSocket.port}`);
    return dial(probe.tcpSocket.host ?? target.podIp, port, timeoutMs);
  }
  if (probe.exec !== undefined) return target.exec(probe.exec.command, timeoutMs);
  return Promise.resolve('the probe has no httpGet, tcpSocket or exec');
}

/** A GET as the kubelet does it: on a connection of its own; 200 to 399 is success. */
export function get(wanted: HttpGet, target: Omit<ProbeTarget, 'exec'>, timeoutMs: number): Promise<CheckResult> {
  const port = portNumber(wanted.port, target.container);
  if (port === undefined) return Promise.resolve(`no port named ${wanted.port}`);
  const headers = Object.fromEntries((wanted.httpHeaders ?? []).map(({ name, value }) => [name, value]));
  const url = `http://${wanted.host ?? target.podIp}:${port}${wanted.path ?? '/'}`;
  return new Promise((resolve) => {
    const outgoing = request(
      url,
      { agent: false, headers: { 'user-agent': 'kube-probe/1.37', ...headers } },
      (response) => {
        response.resume();
        const status = response.statusCode ?? 0;
        over(status >= 200 && status < 400 ? undefined : `GET ${url}: HTTP ${status}`);
      },
    );
    const timer = setTimeout(() => over(`GET ${url}: no answer within ${timeoutMs} ms`), timeoutMs);
    const over = (result: CheckResult): void => {
      clearTimeout(timer);
      resolve(result);
      // A body without end must not keep the socket.
      if (result !== undefined) outgoing.destroy();
      else setTimeout(() => outgoing.destroy(), timeoutMs).unref();
    };
    outgoing.on('error', (error) => over(`GET ${url}: ${error.message}`));
    outgoing.end();
  });
}

function dial(host: string, port: number, timeoutMs: number): Promise<CheckResult> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const timer = setTimeout(() => over(`${host}:${port}: no connection within ${timeoutMs} ms`), timeoutMs);
    const over = (result: CheckResult): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(result);
    };
    socket.on('connect', () => over(undefined));
    socket.on('error', (error) => over(`${host}:${port}: ${error.message}`));
  });
}

/**
 * Repeats a probe by its periods and thresholds and reports every change of its verdict, until `signal` aborts.
 * The verdict before the first report is the caller's.
 */
export async function repeatProbe(options: {
  readonly probe: Probe;
  readonly check: () => Promise<CheckResult>;
  readonly onVerdict: (healthy: boolean, reason: string) => void;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}): Promise<void> {
  const { probe, clock, signal } = options;
  await clock.sleep((probe.initialDelaySeconds ?? 0) * 1000, signal);
  let verdict: boolean | undefined;
  let successes = 0;
  let failures = 0;
  while (!signal.aborted) {
    const started = clock.monotonic();
    const failure = await options.check();
    if (signal.aborted) return;
    successes = failure === undefined ? successes + 1 : 0;
    failures = failure === undefined ? 0 : failures + 1;
    if (failure === undefined && verdict !== true && successes >= (probe.successThreshold ?? 1)) {
      verdict = true;
      options.onVerdict(true, '');
    } else if (failure !== undefined && verdict !== false && failures >= (probe.failureThreshold ?? 3)) {
      verdict = false;
      options.onVerdict(false, failure);
    }
    const spent = clock.monotonic() - started;
    await clock.sleep(Math.max(0, (probe.periodSeconds ?? 10) * 1000 - spent), signal);
  }
}
