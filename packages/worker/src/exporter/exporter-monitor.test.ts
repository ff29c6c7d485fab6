import { createServer } from 'node:http';
import { portOf } from '@shard-controller/shared/listening';
import { elapse } from '@shard-controller/shared/testing';
import { afterEach, expect, it } from 'vitest';
import { systemClock } from '@shard-controller/shared/runtime';
import { ExporterMonitor, residentMemory } from './exporter-monitor.ts';

const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

async function server(port = 0): Promise<{ port: number; close: () => void }> {
  const http = createServer((incoming, response) => {
    response.end(incoming.url === '/metrics' ? '# HELP x y\nprocess_resident_memory_bytes 1.5e+07\n' : 'OK');
  });
  await new Promise<void>((resolve) => http.listen(port, '127.0.0.1', resolve));
  const used = portOf(http) ?? 0;
  const close = (): void => {
    http.closeAllConnections();
    http.close();
  };
  ends.push(close);
  return { port: used, close };
}

function monitorOf(port: number) {
  const states: string[] = [];
  const monitor = new ExporterMonitor({
    exporter: { host: '127.0.0.1', port },
    telemetry: { host: '127.0.0.1', port },
    clock: systemClock,
    probeIntervalMs: 20,
    onChange: ({ state }) => states.push(state),
    onSilence: () => undefined,
  });
  const stop = new AbortController();
  void monitor.run(stop.signal);
  ends.push(() => stop.abort());
  return { monitor, states };
}

it('follows an exporter that starts, ends and comes back, and knows its memory', async () => {
  const first = await server();
  first.close();
  const { monitor, states } = monitorOf(first.port);
  await elapse(60);
  expect(monitor.state.state).toBe('starting');
  const second = await server(first.port);
  await expect.poll(() => monitor.state.state).toBe('running');
  await expect.poll(() => monitor.memoryBytes).toBe(15_000_000);
  second.close();
  await expect.poll(() => monitor.state.state).toBe('unreachable');
  expect(monitor.memoryBytes).toBe(0);
  await elapse(20);
  expect(monitor.unreachableMs).toBeGreaterThan(0);
  await server(first.port);
  await expect.poll(() => states).toEqual(['running', 'unreachable', 'running']);
  expect(monitor.unreachableMs).toBe(0);
});

it('believes a scrape that could not reach the exporter at once', async () => {
  const { port } = await server();
  const { monitor } = monitorOf(port);
  await expect.poll(() => monitor.state.state).toBe('running');
  monitor.report(false);
  expect(monitor.state.state).toBe('unreachable');
});

it.each([
  ['process_resident_memory_bytes 1.17e+08', 117_000_000],
  ['a 1\nprocess_resident_memory_bytes 42\nb 2', 42],
  ['process_virtual_memory_bytes 1', undefined],
  ['process_resident_memory_bytes NaN', undefined],
])('reads the resident memory from %j', (text, bytes) => {
  expect(residentMemory(text)).toBe(bytes);
});
