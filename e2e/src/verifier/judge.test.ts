import { beforeEach, expect, test } from 'vitest';
import { type Exposition, Judge } from './judge.ts';

const TICK_MS = 500;
let now = 0;
let judge: Judge;

beforeEach(() => {
  now = 10_000;
  judge = new Judge();
});

const scrape = (lines: readonly string[] | undefined): Exposition => ({
  start: now,
  end: now + 20,
  body: lines === undefined ? undefined : Buffer.from(`# TYPE x gauge\n${lines.map((l) => `${l} 1\n`).join('')}`),
});

/** One tick: the targets' scrapes, and 50 ms later the reference's. */
function tick(reference: readonly string[] | undefined, ...targets: (readonly string[] | undefined)[]): boolean {
  now += TICK_MS;
  const scrapes = targets.map(scrape);
  now += 50;
  judge.readTargets(scrapes);
  const counted = judge.readReference(scrape(reference));
  now -= 50;
  return counted;
}

function warmUp(reference: readonly string[], ...targets: (readonly string[])[]): void {
  for (let i = 0; i < 6; i++) tick(reference, ...targets);
  judge.startPhase('reference', now);
}

const all = ['kube_pod_info{pod="a b"}', 'kube_pod_info{pod="b"}', 'kube_node_info{node="n"}'] as const;
const [a, b, n] = all;

test('a complete fleet has nothing missing, late or doubled', () => {
  warmUp(all, [a], [b, n]);
  for (let i = 0; i < 10; i++) tick(all, [a], [b, n]);
  expect(judge.figures()).toMatchObject({
    ticks: 10,
    missingMax: 0,
    missingMs: 0,
    lateMaxMs: 0,
    doubledMax: 0,
    expected: 3,
  });
});

test('a lost series is missing, by name, for as long as it is away', () => {
  warmUp(all, [a], [b, n]);
  tick(all, [a], [b, n]);
  tick(all, [a], [n]);
  tick(all, [a], [n]);
  tick(all, [a], [b, n]);
  const figures = judge.figures();
  expect(figures).toMatchObject({ missingMax: 1, missingMs: 2 * TICK_MS });
  expect(figures.samples).toEqual([expect.stringMatching(/^missing, \d+ ms old: kube_pod_info\{pod="b"\} 1$/u)]);
  expect(figures.missingUntilMs).toBe(4 * TICK_MS);
});

test('a tick that began before the phase is not of the phase', () => {
  warmUp(all, [a], [b, n]);
  now += TICK_MS;
  const targets = [scrape([a]), scrape([n])];
  now += 20;
  judge.startPhase('reference', now);
  now += 20;
  judge.readTargets(targets);
  expect(judge.readReference(scrape(all))).toBe(false);
  expect(judge.figures()).toMatchObject({ ticks: 0, missingMax: 0, missingMs: 0 });
});

test('a dead target counts as empty', () => {
  warmUp(all, [a], [b, n]);
  tick(all, [a], undefined);
  expect(judge.figures()).toMatchObject({ missingMax: 2 });
});

test('a series in two targets is doubled, and its time is that of one series', () => {
  warmUp(all, [a], [b, n]);
  tick(all, [a, b], [b, n]);
  tick(all, [a], [a, b, n]);
  expect(judge.figures()).toMatchObject({ doubledMax: 1, doubledMs: TICK_MS, doubledNow: 1, missingMax: 0 });
  tick(all, [a], [b, n]);
  expect(judge.figures().doubledNow).toBe(0);
});

test('a phase does not count how long a series was doubled before it began', () => {
  warmUp(all, [a], [b, n]);
  for (let i = 0; i < 4; i++) tick(all, [a, b], [b, n]);
  judge.startPhase('reference', now);
  tick(all, [a, b], [b, n]);
  expect(judge.figures()).toMatchObject({ doubledMs: TICK_MS, doubledNow: 1 });
});

test('the same line twice in one target is not doubled', () => {
  warmUp(all, [a, a], [b, n]);
  tick(all, [a, a], [b, n]);
  expect(judge.figures().doubledMax).toBe(0);
});

test('a new object is expected only once the reference had it for 2 s', () => {
  warmUp([a, n], [a, n]);
  tick(all, [a, b, n]);
  tick(all, [a, n]);
  expect(judge.figures()).toMatchObject({ missingMax: 0, lateMaxMs: 0 });
  tick(all, [a, n]);
  tick(all, [a, n]);
  expect(judge.figures().lateMax).toBe(1);
  expect(judge.figures().lateMaxMs).toBeGreaterThan(1000);
  expect(judge.figures().missingMax).toBe(0);
  for (let i = 0; i < 3; i++) tick(all, [a, n]);
  expect(judge.figures().missingMax).toBe(1);
});

test('a new object is not expected at once when the only reference scrape of the 2 s before is young', () => {
  warmUp([a, n], [a, n]);
  now += 2500;
  tick(all, [a, b, n]);
  tick(all, [a, n]);
  expect(judge.figures()).toMatchObject({ missingMax: 0, lateMaxMs: 0 });
  tick(all, [a, n]);
  tick(all, [a, n]);
  expect(judge.figures().missingMax).toBe(1);
});

test('a new object that is there within 1 s is neither late nor missing', () => {
  warmUp([a, n], [a, n]);
  tick(all, [a, n]);
  for (let i = 0; i < 8; i++) tick(all, [a, n], [b]);
  expect(judge.figures()).toMatchObject({ missingMax: 0, lateMaxMs: 0 });
});

test('a deleted object is not expected once the scrape after the tick lacks it', () => {
  warmUp(all, [a], [b, n]);
  tick([a, n], [a], [n]);
  expect(judge.figures().missingMax).toBe(0);
});

test('a tick without a reference does not count', () => {
  warmUp(all, [a], [b, n]);
  expect(tick(undefined, [a], [b, n])).toBe(false);
  expect(judge.figures().ticks).toBe(0);
});

test('in a frozen phase the reference may lose its store without hiding a missing series', () => {
  warmUp(all, [a], [b, n]);
  judge.startPhase('frozen', now);
  tick([], [a], [b]);
  tick(undefined, [a], [b, n]);
  tick([a], [a], [b, n]);
  tick(all, [a], [b, n]);
  expect(judge.figures(true)).toMatchObject({ ticks: 4, missingMax: 1, expected: 3, missingMs: TICK_MS });
  expect(judge.figures(true).samples).toEqual([`missing while the reference had it not: ${n} 1`]);
});

test("what the fleet's own Deployment makes go and come back is not expected, and that of others is", () => {
  const condition = (namespace: string): string =>
    `kube_deployment_status_condition{namespace="${namespace}",deployment="d",reason="MinimumReplicasAvailable"}`;
  const conditions = [condition('monitoring'), condition('team-1')];
  warmUp([...all, ...conditions], [...all, ...conditions]);
  tick([...all, ...conditions], all);
  expect(judge.figures()).toMatchObject({ missingMax: 1, expected: 4 });
});

test("what the readiness of the fleet's own pods makes go and come back is not expected, and that of others is", () => {
  const endpoint = (namespace: string): string =>
    `kube_endpointslice_endpoints{endpointslice="s",namespace="${namespace}",ready="true",targetref_namespace="${namespace}"}`;
  const endpoints = [endpoint('monitoring'), endpoint('team-1')];
  warmUp([...all, ...endpoints], [...all, ...endpoints]);
  tick([...all, ...endpoints], all);
  expect(judge.figures()).toMatchObject({ missingMax: 1, expected: 4 });
});

test('in a frozen phase a series that ends for good is not missing', () => {
  warmUp(all, [a], [b, n]);
  judge.startPhase('frozen', now);
  tick([a, n], [a], [n]);
  tick([a, n], [a], [n]);
  expect(judge.figures(true).missingMax).toBe(0);
});

test('in a frozen phase the API server and the manager may re-create their own Lease, and no other client', () => {
  const leases = ['apiserver-x', 'shard-controller-manager', 'kube-scheduler'].map(
    (name) => `kube_lease_owner{lease="${name}"}`,
  );
  warmUp([...all, ...leases], [a], [b, n, ...leases]);
  judge.startPhase('frozen', now);
  tick([...all, ...leases], [a], [b, n]);
  tick([...all, ...leases], [a], [b, n, ...leases]);
  expect(judge.figures(true)).toMatchObject({ missingMax: 1, expected: 4 });
});

test('many series keep apart', () => {
  const many = Array.from({ length: 200_000 }, (_, i) => `kube_pod_info{pod="p-${i}",uid="${i * 7919}"}`);
  warmUp(many, many.slice(0, 100_000), many.slice(100_000));
  tick(many, many.slice(0, 100_000), many.slice(100_000));
  expect(judge.figures()).toMatchObject({ expected: 200_000, missingMax: 0, doubledMax: 0 });
});

test('what the reference loses within a second after the targets was deleted, not lost', () => {
  warmUp(all, [a], [b, n]);
  tick(all, [a], [n]);
  expect(judge.figures()).toMatchObject({ missingMax: 1 });
  tick([a, n], [a], [n]);
  expect(judge.figures()).toMatchObject({ missingMax: 0, missingMs: 0, samples: [] });
});

test('what the reference loses later was missing all the same', () => {
  warmUp(all, [a], [b, n]);
  for (let i = 0; i < 3; i++) tick(all, [a], [n]);
  tick([a, n], [a], [n]);
  expect(judge.figures()).toMatchObject({ missingMax: 1 });
});

test('what no target has shown yet is late, and lost after 30 s', () => {
  warmUp([a, n], [a], [n]);
  for (let i = 0; i < 10; i++) tick(all, [a], [n]);
  expect(judge.figures()).toMatchObject({ missingMax: 0, lateMax: 1 });
  for (let i = 0; i < 60; i++) tick(all, [a], [n]);
  expect(judge.figures()).toMatchObject({ missingMax: 1 });
});

test('what a target has shown for a moment and then no more is missing', () => {
  warmUp([a, n], [a], [n]);
  tick(all, [a, b], [n]);
  for (let i = 0; i < 10; i++) tick(all, [a], [n]);
  expect(judge.figures()).toMatchObject({ missingMax: 1 });
});
