import { mkdirSync, readlinkSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { isNotFound, type KubernetesClient, KubernetesError, resourcePath } from '@shard-controller/shared/kubernetes';
import { type Clock, systemClock } from '@shard-controller/shared/runtime';
import { ContainerConfigError, field, type PodPlace } from './environment.ts';
import type { Container, Pod, Volume, VolumeSource } from './pod.ts';

export interface Mount {
  readonly source: string;
  readonly target: string;
  readonly readOnly: boolean;
}

export interface PodVolumesOptions {
  readonly pod: Pod;
  readonly place: PodPlace;
  readonly folder: string;
  /** As the node: it may read what its pods mount, and nothing else. */
  readonly client: KubernetesClient;
  /** Instead of 80 % of the requested life of a token, ms. */
  readonly tokenRenewalMs?: number | undefined;
  readonly clock?: Clock;
}

type Files = Map<string, string>;

const DEFAULT_TOKEN_SECONDS = 3600;
const OBJECT_REFRESH_MS = 30_000;
/** The API server answers 403 until it has seen that the pod, which mentions the object, is bound to this node. */
const AUTHORIZATION_LAG_MS = 5_000;

/** The volumes of one pod as folders of this machine. */
export class PodVolumes {
  readonly #options: PodVolumesOptions;
  readonly #clock: Clock;
  #version = 0;

  constructor(options: PodVolumesOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  /**
   * Writes everything for the first time.
   *
   * @throws ContainerConfigError for a volume of a kind that this node does not know, or an absent object
   */
  async prepare(signal: AbortSignal): Promise<void> {
    for (const volume of this.#volumes()) await this.#write(volume, signal);
  }

  /** Writes tokens and objects again until `signal` aborts. A failure is tried again soon; the old content stays. */
  async keepFresh(signal: AbortSignal, onProblem: (error: unknown) => void): Promise<void> {
    await Promise.all(
      this.#volumes()
        .filter((volume) => volume.emptyDir === undefined)
        .map((volume) => this.#refresh(volume, signal, onProblem)),
    );
  }

  /** Renews the tokens now, whatever their age. */
  async renew(signal: AbortSignal): Promise<void> {
    for (const volume of this.#volumes()) if (volume.projected !== undefined) await this.#write(volume, signal);
  }

  mounts(container: Container): readonly Mount[] {
    return (container.volumeMounts ?? []).map((mount) => ({
      source: join(this.#folder(mount.name), mount.subPath ?? ''),
      target: mount.mountPath,
      readOnly: mount.readOnly ?? false,
    }));
  }

  remove(): void {
    rmSync(this.#options.folder, { recursive: true, force: true });
  }

  #volumes(): readonly Volume[] {
    return this.#options.pod.spec.volumes ?? [];
  }

  #folder(volume: string): string {
    return join(this.#options.folder, volume);
  }

  async #refresh(volume: Volume, signal: AbortSignal, onProblem: (error: unknown) => void): Promise<void> {
    const periodMs = this.#refreshMs(volume);
    let waitMs = periodMs;
    while (!signal.aborted) {
      await this.#clock.sleep(waitMs, signal);
      if (signal.aborted) return;
      try {
        await this.#write(volume, signal);
        waitMs = periodMs;
      } catch (error) {
        if (signal.aborted) return;
        onProblem(error);
        waitMs = Math.min(periodMs, 1_000);
      }
    }
  }

  /** Its own clock decides, not the token's: the API server may hand out a year for what asked for an hour. */
  #refreshMs(volume: Volume): number {
    const tokens = (volume.projected?.sources ?? []).flatMap(({ serviceAccountToken }) => serviceAccountToken ?? []);
    if (tokens.length === 0) return OBJECT_REFRESH_MS;
    const lives = tokens.map((token) => (token.expirationSeconds ?? DEFAULT_TOKEN_SECONDS) * 1000);
    return this.#options.tokenRenewalMs ?? Math.min(...lives) * 0.8;
  }

  async #write(volume: Volume, signal: AbortSignal): Promise<void> {
    const folder = this.#folder(volume.name);
    mkdirSync(folder, { recursive: true });
    if (volume.emptyDir !== undefined) return;
    const files: Files = new Map();
    for (const source of sourcesOf(volume)) await this.#collect(source, files, signal);
    this.#version += 1;
    replaceFiles(folder, files, this.#version);
  }

  async #collect(source: VolumeSource, files: Files, signal: AbortSignal): Promise<void> {
    const { pod, place } = this.#options;
    if (source.serviceAccountToken !== undefined) {
      files.set(source.serviceAccountToken.path, await this.#token(source.serviceAccountToken, signal));
    }
    for (const item of source.downwardAPI?.items ?? []) {
      if (item.fieldRef !== undefined) files.set(item.path, field(pod, place, item.fieldRef.fieldPath));
    }
    if (source.configMap !== undefined) await this.#object('configmaps', source.configMap, files, signal);
    if (source.secret !== undefined) await this.#object('secrets', source.secret, files, signal);
  }

  async #token(
    wanted: { readonly expirationSeconds?: number | undefined; readonly audience?: string | undefined },
    signal: AbortSignal,
  ): Promise<string> {
    const { pod, client } = this.#options;
    const { namespace, name, uid } = pod.metadata;
    const account = pod.spec.serviceAccountName ?? 'default';
    const path = resourcePath({
      group: '',
      version: 'v1',
      resource: 'serviceaccounts',
      namespace,
      name: account,
      subresource: 'token',
    });
    const request = {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: {
        ...(wanted.audience === undefined ? {} : { audiences: [wanted.audience] }),
        expirationSeconds: wanted.expirationSeconds ?? DEFAULT_TOKEN_SECONDS,
        boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name, uid },
      },
    };
    const answer = await this.#authorized(signal, () =>
      client.create<{ readonly status: { readonly token: string } }>(path, request, { signal }),
    );
    return answer.status.token;
  }

  async #object(
    resource: 'configmaps' | 'secrets',
    wanted: {
      readonly name: string;
      readonly optional?: boolean | undefined;
      readonly items?: readonly { readonly key: string; readonly path: string }[] | undefined;
    },
    files: Files,
    signal: AbortSignal,
  ): Promise<void> {
    const data = await this.readObject(resource, wanted.name, signal);
    if (data === undefined) {
      if (wanted.optional === true) return;
      throw new ContainerConfigError(`${resource} ${wanted.name} does not exist`);
    }
    const items = wanted.items ?? Object.keys(data).map((key) => ({ key, path: key }));
    for (const { key, path } of items) {
      const value = data[key];
      if (value !== undefined) files.set(path, value);
      else if (wanted.optional !== true) throw new ContainerConfigError(`no key ${key} in ${resource} ${wanted.name}`);
    }
  }

  /** The decoded data of a ConfigMap or Secret that the pod mentions. */
  async readObject(
    resource: 'configmaps' | 'secrets',
    name: string,
    signal: AbortSignal,
  ): Promise<Readonly<Record<string, string>> | undefined> {
    const { client, pod } = this.#options;
    const path = resourcePath({ group: '', version: 'v1', resource, namespace: pod.metadata.namespace, name });
    try {
      const object = await this.#authorized(signal, () =>
        client.get<{ readonly data?: Readonly<Record<string, string>> }>(path, { signal }),
      );
      const entries = Object.entries(object.data ?? {});
      if (resource === 'configmaps') return Object.fromEntries(entries);
      return Object.fromEntries(entries.map(([key, value]) => [key, Buffer.from(value, 'base64').toString('utf8')]));
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  async #authorized<T>(signal: AbortSignal, call: () => Promise<T>): Promise<T> {
    const deadline = this.#clock.monotonic() + AUTHORIZATION_LAG_MS;
    for (;;) {
      try {
        return await call();
      } catch (error) {
        const early = error instanceof KubernetesError && error.status === 403 && this.#clock.monotonic() < deadline;
        if (!early || signal.aborted) throw error;
        await this.#clock.sleep(50, signal);
      }
    }
  }
}

function sourcesOf(volume: Volume): readonly VolumeSource[] {
  if (volume.projected !== undefined) return volume.projected.sources ?? [];
  const { configMap, secret, downwardAPI } = volume;
  if (configMap !== undefined) return [{ configMap }];
  if (secret !== undefined) return [{ secret: { ...secret, name: secret.secretName } }];
  if (downwardAPI !== undefined) return [{ downwardAPI }];
  throw new ContainerConfigError(`volume ${volume.name} is of a kind that a process node does not have`);
}

/**
 * Replaces all files at once, as the kubelet does: readers follow `file -> ..data/file` and `..data` is one symbolic
 * link that is renamed into place.
 */
function replaceFiles(folder: string, files: Files, version: number): void {
  const next = `..${version}-${Date.now()}`;
  for (const [path, content] of files) {
    const file = join(folder, next, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, content, { mode: 0o600 });
  }
  mkdirSync(join(folder, next), { recursive: true });
  const link = join(folder, '..data');
  const previous = readLink(link);
  symlinkSync(next, `${link}_next`);
  renameSync(`${link}_next`, link);
  for (const path of files.keys()) {
    const top = path.split('/', 1)[0] ?? path;
    if (readLink(join(folder, top)) === undefined) symlinkSync(join('..data', top), join(folder, top));
  }
  if (previous !== undefined) rmSync(join(folder, previous), { recursive: true, force: true });
}

function readLink(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}
