import { join } from 'node:path';
import { resolveBinary } from '../binaries.ts';

/** What an image is on a process node: a command of this machine. */
export interface ImageProgram {
  /** Replaced by a container's `command`. */
  readonly entrypoint: readonly [string, ...string[]];
  /** Replaced by a container's `args`. */
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly workingDir?: string;
}

/** By repository, without tag and digest. A function is called when a container starts, and may throw. */
export type ImageCatalog = Readonly<Record<string, ImageProgram | (() => ImageProgram)>>;

const REPOSITORY = join(import.meta.dirname, '..', '..', '..', '..');

export const WORKER_IMAGE = 'shard-controller-worker';
export const MANAGER_IMAGE = 'shard-controller-manager';
export const KUBE_STATE_METRICS_IMAGE = 'registry.k8s.io/kube-state-metrics/kube-state-metrics';

/** Our two images, and the exporter's real binary under its real name. */
export const productImages: ImageCatalog = {
  [WORKER_IMAGE]: product('worker'),
  [MANAGER_IMAGE]: product('manager'),
  [KUBE_STATE_METRICS_IMAGE]: () => ({ entrypoint: [resolveBinary('kube-state-metrics')] }),
};

/** Compiled once, not at each start: a second less per process on a busy machine. */
const COMPILE_CACHE = { NODE_COMPILE_CACHE: join(REPOSITORY, '.cache', 'node-compile') };

/**
 * One of our programs, run by the Node that runs the harness: compiled, as in the image, where the script that started
 * the harness has built it (tools/build.sh) and says so; otherwise from its sources, which are never out of date.
 */
function product(name: 'worker' | 'manager'): () => ImageProgram {
  return () => {
    const isBuilt = process.env['SHARD_CONTROLLER_PROGRAMS'] === 'dist';
    if (!isBuilt) return source(`packages/${name}/src/main.ts`);
    const main = join(REPOSITORY, 'packages', name, 'dist', 'bundle.js');
    return { entrypoint: [process.execPath, main], workingDir: REPOSITORY, env: COMPILE_CACHE };
  };
}

/** A TypeScript program of this repository, run by the Node that runs the harness. */
export function source(path: string): ImageProgram {
  return {
    entrypoint: [process.execPath, '--conditions=@shard/source', join(REPOSITORY, path)],
    workingDir: REPOSITORY,
    env: COMPILE_CACHE,
  };
}

/** The program of an image reference, whatever its tag or digest; undefined if the image is not known. */
export function findProgram(catalog: ImageCatalog, image: string): ImageProgram | undefined {
  const entry = catalog[repositoryOf(image)];
  return typeof entry === 'function' ? entry() : entry;
}

/** `host:5000/a/b:tag@sha256:…` is `host:5000/a/b`. */
export function repositoryOf(image: string): string {
  const withoutDigest = image.split('@', 1)[0] ?? '';
  return withoutDigest.replace(/:[^:/]+$/, '');
}
