import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import {
  compareResourceVersion,
  isConflict,
  isNotFound,
  type KubernetesClient,
  resourcePath,
} from '@shard-controller/shared/kubernetes';
import type { Logger } from '@shard-controller/shared/observability';
import type { Clock } from '@shard-controller/shared/runtime';
import { BRIDGE_ADDRESS } from '../../namespace/index.ts';
import { ContainerRunner } from './container-runner.ts';
import { timestamp } from './container-status.ts';
import type { PodPlace } from './environment.ts';
import type { ImageCatalog } from './images.ts';
import { type Pod, podSchema } from './pod.ts';
import type { PodAddress } from './pod-addresses.ts';
import {
  createPodNetwork,
  cutPodNetwork,
  deletePodNetwork,
  healPodNetwork,
  networkFile,
  type Peer,
} from './pod-network.ts';
import { desiredStatus, earlierRestarts, isCurrent } from './pod-status.ts';
import { freezeAll, processesInNetwork, signalAll } from './processes.ts';
import { PodVolumes } from './volumes.ts';

export interface PodRunnerOptions {
  readonly pod: Pod;
  readonly nodeName: string;
  readonly address: PodAddress;
  readonly folder: string;
  readonly logFolder: string;
  readonly client: KubernetesClient;
  readonly images: ImageCatalog;
  readonly clusterEnv: Readonly<Record<string, string>>;
  readonly tokenRenewalMs?: number | undefined;
  readonly logger: Logger;
  readonly clock: Clock;
}

/** Runs one pod from its first sight to its removal, and tells the API server the truth about it. */
export class PodRunner {
  readonly #options: PodRunnerOptions;
  readonly #life = new AbortController();
  readonly #startedAt: string;
  readonly #volumes: PodVolumes;
  #live: Pod;
  #containers: readonly ContainerRunner[] = [];
  #networked = false;
  #problem: string | undefined;
  #over = false;
  /** Nothing is said to the API server, as if this machine were gone. */
  #silent = false;
  /** This machine is gone, or the object is: not even a deletion is answered. */
  #lost = false;
  #terminating: Promise<void> | undefined;
  #starting: Promise<void> | undefined;
  #pushing: Promise<void> | undefined;
  #dirty = false;

  constructor(options: PodRunnerOptions) {
    this.#options = options;
    this.#live = options.pod;
    this.#startedAt = timestamp(options.clock.now());
    this.#volumes = new PodVolumes({
      pod: options.pod,
      place: this.#place(),
      folder: join(options.folder, 'volumes'),
      client: options.client,
      tokenRenewalMs: options.tokenRenewalMs,
      clock: options.clock,
    });
  }

  get pod(): Pod {
    return this.#live;
  }

  get ip(): string {
    return this.#options.address.ip;
  }

  /** Processes of all containers, including those that a container started itself. */
  processes(): readonly number[] {
    return processesInNetwork(networkFile(this.#options.address.id));
  }

  start(): void {
    this.#starting ??= this.#start();
  }

  /** The object as the API server has it now. */
  observe(pod: Pod): void {
    if (compareResourceVersion(pod.metadata.resourceVersion, this.#live.metadata.resourceVersion) < 0) return;
    this.#live = pod;
    this.#push();
  }

  /** Ends the pod as its deletion asks, then removes the object. Resolves when both are done. */
  terminate(): Promise<void> {
    this.#terminating ??= this.#terminate();
    return this.#terminating;
  }

  /** SIGKILL to everything in the pod at once; nothing is restarted. */
  async killAll(report: boolean): Promise<void> {
    if (!report) this.#silent = true;
    this.#over = true;
    signalAll(this.processes(), 'SIGKILL');
    await Promise.all(this.#containers.map((container) => container.destroy()));
  }

  /** The machine is gone. */
  async lose(): Promise<void> {
    this.#lost = true;
    await this.killAll(false);
  }

  killContainer(name: string): void {
    const found = this.#containers.find((container) => container.name === name);
    if (found === undefined) throw new Error(`Pod ${this.#live.metadata.name} has no container ${name} that runs.`);
    found.crash();
  }

  freeze(): Promise<void> {
    return freezeAll(this.processes());
  }

  thaw(): void {
    signalAll(this.processes(), 'SIGCONT');
  }

  cut(peer: Peer): Promise<void> {
    return cutPodNetwork(this.#options.address.id, peer);
  }

  heal(peer: Peer): Promise<void> {
    return healPodNetwork(this.#options.address.id, peer);
  }

  renewTokens(): Promise<void> {
    return this.#volumes.renew(this.#life.signal);
  }

  /** Ends everything on this machine and says nothing to the API server. */
  async dispose(): Promise<void> {
    this.#silent = true;
    this.#lost = true;
    this.#life.abort();
    await this.#starting;
    await Promise.all(this.#containers.map((container) => container.destroy()));
    signalAll(this.processes(), 'SIGKILL');
    await deletePodNetwork(this.#options.address.id);
    this.#volumes.remove();
  }

  async #start(): Promise<void> {
    const { address, clock, logger, pod } = this.#options;
    const { signal } = this.#life;
    while (!signal.aborted) {
      try {
        this.#refuseUnsupported(pod);
        if (!this.#networked) await createPodNetwork(address);
        this.#networked = true;
        await this.#volumes.prepare(signal);
        break;
      } catch (error) {
        if (signal.aborted) return;
        this.#problem = error instanceof Error ? error.message : String(error);
        logger.warn({ problem: this.#problem }, 'pod not started yet');
        this.#push();
        await clock.sleep(1000, signal);
      }
    }
    if (signal.aborted) return;
    this.#problem = undefined;
    void this.#volumes.keepFresh(signal, (error) => logger.warn({ err: error }, 'volume not renewed'));
    this.#containers = pod.spec.containers.map((container) => this.#container(container.name));
    void this.#startInOrder();
    logger.info({ ip: address.ip }, 'pod started');
  }

  /** Each one after the postStart hook of the one before, as the kubelet does. Once a pod ends, starting does nothing. */
  async #startInOrder(): Promise<void> {
    for (const container of this.#containers) await container.start();
  }

  #refuseUnsupported(pod: Pod): void {
    if ((pod.spec.initContainers ?? []).length > 0) throw new Error('a process node does not run init containers');
    const user = pod.spec.securityContext?.runAsUser;
    // Only one user exists in the namespace of the harness.
    if (user !== undefined && user !== 0) this.#options.logger.debug({ runAsUser: user }, 'runAsUser is not honoured');
  }

  #container(name: string): ContainerRunner {
    const { address, clock, clusterEnv, folder, images, logFolder, logger, pod } = this.#options;
    const container = pod.spec.containers.find((candidate) => candidate.name === name);
    if (container === undefined) throw new Error(`no container ${name}`);
    const scratchFolder = join(folder, 'scratch', name);
    mkdirSync(scratchFolder, { recursive: true });
    mkdirSync(logFolder, { recursive: true });
    const earlier = earlierRestarts(pod, name);
    return new ContainerRunner({
      pod,
      container,
      place: this.#place(),
      networkFile: networkFile(address.id),
      scratchFolder,
      logFile: join(logFolder, `${pod.metadata.namespace}_${pod.metadata.name}_${name}.log`),
      mounts: this.#volumes.mounts(container),
      images,
      clusterEnv,
      readKey: async (kind, object, key) => (await this.#volumes.readObject(kind, object, this.#life.signal))?.[key],
      // It ran before (on this node, before a loss): what starts now is a restart.
      restartCount: earlier === undefined || pod.status?.podIP === undefined ? 0 : earlier + 1,
      logger: logger.child({ container: name }),
      clock,
      onChange: () => this.#push(),
    });
  }

  #place(): PodPlace {
    return { podIp: this.#options.address.ip, nodeName: this.#options.nodeName, hostIp: BRIDGE_ADDRESS };
  }

  async #terminate(): Promise<void> {
    const { address, clock, logger, pod } = this.#options;
    const grace = this.#live.metadata.deletionGracePeriodSeconds ?? pod.spec.terminationGracePeriodSeconds ?? 30;
    logger.info({ graceSeconds: grace }, 'pod is ending');
    // Starting is interrupted, but the volumes of running containers stay fresh until they are gone.
    if (this.#containers.length === 0) this.#life.abort();
    await this.#starting;
    await Promise.all(this.#containers.map((container) => container.stop(grace * 1000)));
    this.#over = true;
    this.#life.abort();
    signalAll(this.processes(), 'SIGKILL');
    if (this.#lost) return;
    this.#silent = false;
    this.#push();
    await this.#pushing;
    if (this.#networked) await deletePodNetwork(address.id);
    this.#volumes.remove();
    while (!this.#lost && !(await this.#remove())) await clock.sleep(500);
    logger.info('pod is gone');
  }

  /** Only the node may remove the object: until then the StatefulSet does not replace the pod. */
  async #remove(): Promise<boolean> {
    const { uid } = this.#live.metadata;
    try {
      await this.#options.client.delete(this.#path(), { gracePeriodSeconds: 0, preconditions: { uid } });
      return true;
    } catch (error) {
      if (isNotFound(error) || isConflict(error)) return true;
      const reason = error instanceof Error ? error.message : String(error);
      this.#options.logger.warn({ reason }, 'pod object not removed yet');
      return false;
    }
  }

  #path(subresource?: string): string {
    const { name, namespace } = this.#live.metadata;
    return resourcePath({ group: '', version: 'v1', resource: 'pods', namespace, name, subresource });
  }

  /** One writer at a time; changes of the meantime go with the next write. */
  #push(): void {
    this.#dirty = true;
    this.#pushing ??= this.#pushAll().finally(() => {
      this.#pushing = undefined;
      if (this.#dirty && !this.#silent) this.#push();
    });
  }

  async #pushAll(): Promise<void> {
    const { client, clock, logger } = this.#options;
    let failures = 0;
    while (this.#dirty && !this.#silent) {
      this.#dirty = false;
      const status = this.#status();
      if (isCurrent(status, this.#live.status)) continue;
      try {
        const { uid } = this.#live.metadata;
        const raw = await client.patch<unknown>(
          this.#path('status'),
          { metadata: { uid }, status },
          // Strategic, so that conditions of others stay.
          { contentType: 'application/strategic-merge-patch+json' },
        );
        const answer = podSchema.safeParse(raw);
        if (answer.success) this.#live = answer.data;
        failures = 0;
      } catch (error) {
        if (isNotFound(error)) return;
        failures += 1;
        this.#dirty = true;
        const reason = error instanceof Error ? error.message : String(error);
        // The API server may be down on purpose; a refusal of the content would repeat for ever.
        logger[failures === 5 ? 'warn' : 'debug']({ reason }, 'pod status not written yet');
        if (this.#over && failures > 20) return;
        await clock.sleep(Math.min(2000, 100 * 2 ** failures));
      }
    }
  }

  #status(): Record<string, unknown> {
    const { clock, pod } = this.#options;
    const containers =
      this.#containers.length > 0
        ? this.#containers.map((container) => container.status())
        : pod.spec.containers.map(({ name, image }) => ({
            name,
            image,
            imageID: '',
            ready: false,
            started: false,
            restartCount: 0,
            state: { waiting: { reason: 'ContainerCreating', ...(this.#problem && { message: this.#problem }) } },
            lastState: {},
          }));
    return desiredStatus(
      {
        podIp: this.#networked ? this.#options.address.ip : undefined,
        hostIp: BRIDGE_ADDRESS,
        startedAt: this.#startedAt,
        containers,
        over: this.#over,
        problem: this.#problem,
      },
      this.#live.status,
      clock.now(),
    );
  }
}
