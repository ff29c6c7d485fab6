import { API_VERSION, SHARD_CONFIG_KIND, type ShardConfig } from '@shard-controller/shared/api';
import { type Heartbeat, heartbeatSubject, pingSubject, type WorkerAddress } from '@shard-controller/shared/contracts';
import { healthBounds } from '../health-monitor/index.ts';
import type { ConfigIdentity } from '../naming/index.ts';
import { type ClusterViewHandler, type InvalidConfig, listenForHeartbeats, ping } from '../observation/index.ts';
import { ConfigRunner } from './config-runner.ts';
import type { RunnerContext } from './context.ts';

const PING_ROUND_MS = 500;
const PING_TIMEOUT_MS = 1_000;
/** A round of decisions that takes longer means that this process hangs, ms. Appending waits 10 s at most. */
const STUCK_MS = 60_000;

/** Who claims to be a worker for so long is no process that was just started, ms. */
const RIVAL_MS = 5_000;
/** Said again after so long, ms. */
const NAME_AGAIN_MS = 60_000;

interface Running {
  readonly runner: ConfigRunner;
  readonly done: Promise<void>;
}

/** All ShardConfigs of the watched namespace, each with its runner, and what they share: heartbeats and pings. */
export class Fleet implements ClusterViewHandler {
  readonly #context: RunnerContext;
  readonly #running = new Map<string, Running>();
  readonly #pinging = new Set<string>();
  /** When forged messages were last named, by subject and kind. Monotonic, ms. */
  readonly #named = new Map<string, number>();
  #signal: AbortSignal | undefined;

  constructor(context: RunnerContext) {
    this.#context = context;
  }

  get runners(): readonly ConfigRunner[] {
    return [...this.#running.values()].map(({ runner }) => runner);
  }

  /** Why this process should be restarted, or undefined. */
  get stuck(): string | undefined {
    const now = this.#context.clock.monotonic();
    const hanging = this.runners.find(({ lastRoundAt }) => lastRoundAt !== undefined && now - lastRoundAt > STUCK_MS);
    return hanging === undefined
      ? undefined
      : `ShardConfig ${hanging.config.name} has not been processed for more than ${STUCK_MS / 1000} s`;
  }

  /** Runs all ShardConfigs until `signal` aborts, then waits for them. */
  async run(signal: AbortSignal): Promise<void> {
    this.#signal = signal;
    const { cluster, listening, leadership, link, logger } = this.#context;
    const stopListening = listenForHeartbeats({
      link,
      onHeartbeat: (address, heartbeat) => this.#heard(address, heartbeat),
      onInvalid: (subject, reason) => {
        this.#context.metrics.invalidMessage('heartbeat');
        logger.debug({ subject, reason }, 'a message is not a heartbeat');
      },
    });
    const offStatus = link.onStatus(({ connected }) => {
      if (connected) listening.restart();
      for (const runner of this.runners) runner.invalidateLog();
    });
    leadership.onChange((leading) => {
      this.#context.metrics.leader(leading);
      if (leading) listening.restart();
    });
    for (const config of cluster.configs) this.configChanged(config);
    for (const invalid of cluster.invalidConfigs) this.configInvalid(invalid);
    await Promise.all([
      listening.run(signal, (ms) => {
        logger.warn({ ms: Math.round(ms) }, 'this process stalled; silence of workers during the stall does not count');
      }),
      this.#pingLoop(signal),
    ]);
    stopListening();
    offStatus();
    await Promise.all([...this.#running.values()].map(({ done }) => done));
  }

  configChanged({ metadata }: ShardConfig): void {
    if (metadata.deletionTimestamp !== undefined) return this.#remove(metadata.uid);
    this.#ensure({ namespace: metadata.namespace, name: metadata.name, uid: metadata.uid }).wake();
  }

  configInvalid({ namespace, name, uid, problems }: InvalidConfig): void {
    const runner = this.#ensure({ namespace, name, uid });
    runner.wake();
    const shardConfig = `${namespace}/${name}`;
    this.#context.logger.warn(
      { shardConfig, problems },
      'a ShardConfig is invalid; its last valid spec stays in force',
    );
  }

  configRemoved(uid: string): void {
    this.#remove(uid);
  }

  objectsChanged(config: string): void {
    for (const runner of this.runners) if (runner.config.name === config) runner.wake();
  }

  #ensure(config: ConfigIdentity): ConfigRunner {
    const known = this.#running.get(config.uid);
    if (known !== undefined) return known.runner;
    const runner = new ConfigRunner(this.#context, config);
    const signal = this.#signal;
    // Before `run` nothing may start; it picks up what the cluster view knows then.
    if (signal === undefined) return runner;
    const done = runner.run(signal).finally(() => this.#ended(config.uid));
    this.#running.set(config.uid, { runner, done });
    return runner;
  }

  /** A ShardConfig that is there again when its runner has ended (a backup of the API server was restored) gets another. */
  #ended(uid: string): void {
    this.#running.delete(uid);
    if (this.#signal === undefined || this.#signal.aborted) return;
    const { cluster } = this.#context;
    const again = cluster.config(uid);
    const invalid = cluster.invalid(uid);
    if (again !== undefined && again.metadata.deletionTimestamp === undefined) this.configChanged(again);
    else if (again === undefined && invalid !== undefined) this.configInvalid(invalid);
  }

  #remove(uid: string): void {
    this.#running.get(uid)?.runner.remove();
  }

  #heard(address: WorkerAddress, heartbeat: Heartbeat): void {
    const { clock, registry, metrics, config } = this.#context;
    if (address.namespace !== config.watchNamespace) return;
    const running = this.#running.get(heartbeat.uid);
    if (running === undefined || running.runner.config.name !== address.config) {
      return metrics.invalidMessage('heartbeat of another ShardConfig');
    }
    const { shardId, replica } = address;
    const word = this.#context.cluster.word(running.runner.config.name, shardId, replica);
    const outcome = registry.heard(address, heartbeat, clock.monotonic(), word);
    if (outcome === 'stale') metrics.invalidMessage('heartbeat of a replaced process');
    else if (outcome === 'news') running.runner.wake();
    else if (outcome !== 'same') this.#forged(running.runner, address, heartbeat, outcome);
  }

  /** Says who claims on NATS to be a worker and is not; a process that was just started may look so for a moment. */
  #forged(
    runner: ConfigRunner,
    address: WorkerAddress,
    { pod, boot, sequence }: Heartbeat,
    outcome: 'rival' | 'foreign' | 'corrected',
  ): void {
    const { clock, leadership, logger, metrics, recorder, registry } = this.#context;
    metrics.invalidMessage('heartbeat of an unknown process');
    if (outcome === 'corrected') runner.wake();
    const since = registry.rivalSince(address, clock.monotonic()) ?? clock.monotonic();
    if (leadership.term === undefined || (outcome === 'rival' && clock.monotonic() - since < RIVAL_MS)) return;
    const subject = heartbeatSubject(address);
    const what = {
      rival: `come from a process (boot ${boot}) that its ShardInstance does not know: ignored`,
      foreign: `come from pod ${pod}: ignored`,
      corrected: `had a sequence that is not the worker's; it continues at ${sequence}`,
    }[outcome];
    const message = `heartbeats of ${address.shardId}, replica ${address.replica}, on NATS subject ${subject} ${what}. Find out who else writes to NATS`;
    const key = `${subject} ${outcome}`;
    const now = clock.monotonic();
    if (now - (this.#named.get(key) ?? Number.NEGATIVE_INFINITY) < NAME_AGAIN_MS) return;
    this.#named.set(key, now);
    logger.warn({ subject, pod, boot, outcome }, message);
    const regarding = { apiVersion: API_VERSION, kind: SHARD_CONFIG_KIND, metadata: { ...runner.config } };
    recorder.record(regarding, { type: 'Warning', reason: 'ForgedHeartbeat', note: message });
  }

  /** Asks workers that have become silent whether they are there. Only the leader needs to know. */
  async #pingLoop(signal: AbortSignal): Promise<void> {
    const { clock, leadership, link } = this.#context;
    while (!signal.aborted) {
      await clock.sleep(PING_ROUND_MS, signal);
      if (signal.aborted || leadership.term === undefined || !link.connected) continue;
      for (const runner of this.runners) this.#pingSilent(runner);
    }
  }

  #pingSilent({ config, state }: ConfigRunner): void {
    const { clock, registry } = this.#context;
    const settings = state?.settings;
    if (state === undefined || settings === undefined || settings === null) return;
    const { suspectMs, takeoverMs } = healthBounds(settings.health.intervalMs);
    const silentMs = Math.min(takeoverMs, suspectMs / 2 + 500);
    for (const { shardId, active: replica } of Object.values(state.shards)) {
      const address = { namespace: config.namespace, config: config.name, shardId, replica };
      const view = registry.view(address, config.uid);
      const isSilent = view === undefined || clock.monotonic() - view.heardAt >= silentMs;
      if (!isSilent) continue;
      this.#ping(address, config.uid).catch((error: unknown) => {
        this.#context.logger.warn({ shard: shardId, err: error }, 'a worker could not be pinged');
      });
    }
  }

  async #ping(address: WorkerAddress, uid: string): Promise<void> {
    const { link, registry } = this.#context;
    const key = pingSubject(address);
    if (this.#pinging.has(key)) return;
    this.#pinging.add(key);
    try {
      const before = registry.view(address, uid)?.heardAt;
      const result = await ping(link, address, PING_TIMEOUT_MS);
      if (result.kind === 'alive') this.#heard(address, result.heartbeat);
      // A heartbeat that came in between is the newer word.
      const unheard = registry.view(address, uid)?.heardAt === before;
      if ((result.kind !== 'gone' && result.kind !== 'silent') || !unheard) return;
      const isNews = registry.pingFailed(address, result.kind === 'gone' ? 'no-responders' : 'unanswered');
      if (isNews) this.#running.get(uid)?.runner.wake();
    } finally {
      this.#pinging.delete(key);
    }
  }
}
