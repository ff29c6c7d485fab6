import type { Logger } from '@shard-controller/shared/observability';
import type { Clock } from '@shard-controller/shared/runtime';
import { ContainerProcess, type ProcessEnd } from './container-process.ts';
import {
  BACKOFF_RESET_MS,
  type ContainerState,
  type ContainerStatus,
  restartDelayMs,
  terminationOf,
  timestamp,
} from './container-status.ts';
import { ContainerConfigError, containerEnvironment, expand, type KeyReader, type PodPlace } from './environment.ts';
import { findProgram, type ImageCatalog, type ImageProgram } from './images.ts';
import type { Container, Hook, Pod, Probe } from './pod.ts';
import { check, type CheckResult, get, type ProbeTarget, repeatProbe } from './probe.ts';
import type { Mount } from './volumes.ts';

export interface ContainerRunnerOptions {
  readonly pod: Pod;
  readonly container: Container;
  readonly place: PodPlace;
  readonly networkFile: string;
  readonly scratchFolder: string;
  readonly logFile: string;
  readonly mounts: readonly Mount[];
  readonly images: ImageCatalog;
  /** Set for every container: where the API server is. */
  readonly clusterEnv: Readonly<Record<string, string>>;
  readonly readKey: KeyReader;
  readonly restartCount: number;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly onChange: () => void;
}

/** A postStart hook has no time limit in Kubernetes; this one only keeps a test from hanging. */
const LONGEST_HOOK_MS = 300_000;

/** Keeps one container in the state that its pod asks for: starts, probes, restarts with back-off, stops. */
export class ContainerRunner {
  readonly #options: ContainerRunnerOptions;
  readonly #ending = new AbortController();
  readonly #launched = Promise.withResolvers<void>();
  #process: ContainerProcess | undefined;
  #state: ContainerState = { waiting: { reason: 'ContainerCreating' } };
  #lastState: ContainerState | undefined;
  #restartCount: number;
  #started = false;
  #ready = false;
  #containerId: string | undefined;
  #loop: Promise<void> | undefined;

  constructor(options: ContainerRunnerOptions) {
    this.#options = options;
    this.#restartCount = options.restartCount;
  }

  get name(): string {
    return this.#options.container.name;
  }

  get pid(): number | undefined {
    return this.#process?.pid;
  }

  status(): ContainerStatus {
    const { container } = this.#options;
    return {
      name: container.name,
      image: container.image,
      imageID: container.image,
      ...(this.#containerId === undefined ? {} : { containerID: this.#containerId }),
      ready: this.#ready,
      started: this.#started,
      restartCount: this.#restartCount,
      state: this.#state,
      lastState: this.#lastState ?? {},
    };
  }

  /** Resolves when the next container may start: the first run is past its postStart hook, or came to nothing. */
  start(): Promise<void> {
    this.#loop ??= this.#run().finally(() => this.#launched.resolve());
    return this.#launched.promise;
  }

  /** preStop, SIGTERM, and SIGKILL when `graceMs` is over. Resolves when it ended for good. */
  async stop(graceMs: number): Promise<void> {
    this.#ending.abort();
    await this.#endProcess(graceMs);
    await this.#loop;
  }

  /** SIGKILL, and no restart. */
  async destroy(): Promise<void> {
    this.#ending.abort();
    this.#process?.kill();
    await this.#loop;
  }

  /** SIGKILL; a restart follows as the pod's policy says. */
  crash(): void {
    this.#process?.kill();
  }

  async #run(): Promise<void> {
    const { clock, pod } = this.#options;
    let inARow = 0;
    while (!this.#ending.signal.aborted) {
      const began = clock.monotonic();
      const end = await this.#runOnce();
      this.#launched.resolve();
      if (this.#ending.signal.aborted) return;
      const policy = pod.spec.restartPolicy ?? 'Always';
      if (end !== undefined && (policy === 'Never' || (policy === 'OnFailure' && end.code === 0))) return;
      if (clock.monotonic() - began > BACKOFF_RESET_MS) inARow = 0;
      // A container that was never started has nothing that could be restarted at once.
      const delayMs = restartDelayMs(end === undefined ? inARow + 1 : inARow);
      inARow += 1;
      if (end === undefined) {
        await clock.sleep(delayMs, this.#ending.signal);
        continue;
      }
      this.#lastState = this.#state;
      if (delayMs > 0) {
        const message = `back-off ${delayMs / 1000}s restarting failed container=${this.name}`;
        this.#set({ waiting: { reason: 'CrashLoopBackOff', message } });
        await clock.sleep(delayMs, this.#ending.signal);
      }
      if (!this.#ending.signal.aborted) this.#restartCount += 1;
    }
  }

  /** One life of the process; undefined if it could not be started. */
  async #runOnce(): Promise<ProcessEnd | undefined> {
    const { logger, pod } = this.#options;
    let process: ContainerProcess;
    try {
      process = await this.#spawn();
    } catch (error) {
      const reason = error instanceof ImageUnknownError ? 'ErrImagePull' : 'CreateContainerConfigError';
      const message = error instanceof Error ? error.message : String(error);
      logger.warn({ reason, message }, 'container not started');
      this.#set({ waiting: { reason, message } });
      return undefined;
    }
    this.#process = process;
    if (this.#ending.signal.aborted) process.kill();
    const startedAt = timestamp(process.startedAt);
    this.#containerId = `process://${process.pid ?? 0}-${process.startedAt}`;
    const hookFailure = await this.#postStart(process);
    this.#launched.resolve();
    this.#set({ running: { startedAt } });
    if (hookFailure !== undefined) void this.#endProcess((pod.spec.terminationGracePeriodSeconds ?? 30) * 1000);
    const probes = new AbortController();
    const probing = this.#probe(process, probes.signal);
    const end = await process.ended;
    probes.abort();
    await probing;
    // What it left behind in its group must not hold its ports.
    process.kill();
    this.#process = undefined;
    this.#started = false;
    this.#ready = false;
    this.#set({ terminated: terminationOf(end, startedAt, timestamp(this.#options.clock.now())) });
    logger.info({ exitCode: end.code, signal: end.signal, restartCount: this.#restartCount }, 'container ended');
    return end;
  }

  async #spawn(): Promise<ContainerProcess> {
    const { container, pod, place, images, clusterEnv, readKey } = this.#options;
    const program = this.#program(images);
    const own = await containerEnvironment(pod, container, place, readKey);
    const env = { ...clusterEnv, HOSTNAME: pod.metadata.name, ...program.env, ...own };
    const given = container.command?.map((word) => expand(word, env)) ?? program.entrypoint;
    // As in Kubernetes: a command of the pod's own drops the image's arguments too.
    const args =
      container.args?.map((word) => expand(word, env)) ?? (container.command === undefined ? (program.args ?? []) : []);
    return new ContainerProcess({
      command: [...given, ...args],
      env,
      workingDir: container.workingDir ?? program.workingDir ?? '/',
      networkFile: this.#options.networkFile,
      mounts: this.#options.mounts,
      scratchFolder: this.#options.scratchFolder,
      logFile: this.#options.logFile,
      mark: `${pod.metadata.namespace}/${pod.metadata.name}/${container.name}`,
    });
  }

  #program(images: ImageCatalog): ImageProgram {
    const { image } = this.#options.container;
    const program = findProgram(images, image);
    if (program === undefined) throw new ImageUnknownError(image, Object.keys(images));
    return program;
  }

  /** Startup first; then liveness and readiness side by side, for as long as the process lives. */
  async #probe(process: ContainerProcess, signal: AbortSignal): Promise<void> {
    const { container, clock } = this.#options;
    const { startupProbe, livenessProbe, readinessProbe } = container;
    const target = this.#target(process);
    if (startupProbe !== undefined) {
      const passed = Promise.withResolvers<void>();
      const startup = new AbortController();
      const both = AbortSignal.any([signal, startup.signal]);
      both.addEventListener('abort', () => passed.resolve(), { once: true });
      void repeatProbe({
        probe: startupProbe,
        check: () => check(startupProbe, target),
        onVerdict: (healthy, reason) =>
          healthy ? startup.abort() : this.#onUnhealthy('startup', startupProbe, reason),
        clock,
        signal: both,
      });
      await passed.promise;
      if (signal.aborted) return;
    }
    this.#started = true;
    this.#ready = readinessProbe === undefined;
    this.#options.onChange();
    const running: Promise<void>[] = [];
    if (livenessProbe !== undefined) {
      running.push(
        repeatProbe({
          probe: livenessProbe,
          check: () => check(livenessProbe, target),
          onVerdict: (healthy, reason) => (healthy ? undefined : this.#onUnhealthy('liveness', livenessProbe, reason)),
          clock,
          signal: AbortSignal.any([signal, this.#ending.signal]),
        }),
      );
    }
    if (readinessProbe !== undefined) {
      running.push(
        repeatProbe({
          probe: readinessProbe,
          check: () => check(readinessProbe, target),
          onVerdict: (healthy) => {
            this.#ready = healthy;
            this.#options.onChange();
          },
          clock,
          signal,
        }),
      );
    }
    await Promise.all(running);
  }

  #onUnhealthy(kind: 'startup' | 'liveness', probe: Probe, reason: string): void {
    this.#options.logger.warn({ probe: kind, reason }, 'probe failed, container is restarted');
    const seconds = probe.terminationGracePeriodSeconds ?? this.#options.pod.spec.terminationGracePeriodSeconds ?? 30;
    void this.#endProcess(seconds * 1000);
  }

  async #endProcess(graceMs: number): Promise<void> {
    const process = this.#process;
    if (process?.pid === undefined) return;
    const { container } = this.#options;
    const timer = setTimeout(() => process.kill(), graceMs);
    const preStop = container.lifecycle?.preStop;
    if (preStop !== undefined && graceMs > 0) await this.#hook('preStop', preStop, process, graceMs);
    if (graceMs > 0) process.terminate();
    await process.ended;
    clearTimeout(timer);
  }

  /** Why the container has to be ended, or undefined; a process that ended by itself needs no other reason. */
  async #postStart(process: ContainerProcess): Promise<string | undefined> {
    const postStart = this.#options.container.lifecycle?.postStart;
    return postStart === undefined ? undefined : this.#hook('postStart', postStart, process, LONGEST_HOOK_MS);
  }

  /** Runs a hook until it or the process ends. @returns why it failed, or undefined */
  async #hook(
    name: 'postStart' | 'preStop',
    hook: Hook,
    process: ContainerProcess,
    timeoutMs: number,
  ): Promise<string | undefined> {
    const over = new AbortController();
    void process.ended.then(() => over.abort());
    const failure = await Promise.race([this.#runHook(hook, process, timeoutMs, over.signal), process.ended]);
    over.abort();
    if (typeof failure !== 'string') return undefined;
    this.#options.logger.warn({ hook: name, failure }, 'hook failed');
    return failure;
  }

  async #runHook(hook: Hook, process: ContainerProcess, timeoutMs: number, signal: AbortSignal): Promise<CheckResult> {
    if (hook.sleep !== undefined) await this.#options.clock.sleep(hook.sleep.seconds * 1000, signal);
    else if (hook.httpGet !== undefined) return get(hook.httpGet, this.#target(process), timeoutMs);
    else if (hook.exec !== undefined) return process.exec(hook.exec.command, timeoutMs);
    return undefined;
  }

  #target(process: ContainerProcess): ProbeTarget {
    const { container, place } = this.#options;
    return { container, podIp: place.podIp, exec: (command, timeoutMs) => process.exec(command, timeoutMs) };
  }

  #set(state: ContainerState): void {
    this.#state = state;
    this.#options.onChange();
  }
}

class ImageUnknownError extends ContainerConfigError {
  constructor(image: string, known: readonly string[]) {
    super(`image ${image} is not known to this process node, which knows ${known.join(', ')}`);
    this.name = 'ImageUnknownError';
  }
}
