import { execFile } from 'node:child_process';
import { join } from 'node:path';
import type { KubernetesObject } from '@shard-controller/shared/kubernetes';
import { parseAllDocuments } from 'yaml';
import { z } from 'zod';
import { type BinaryName, resolveBinary } from '../cluster/binaries.ts';

/** The chart's folder. */
export const CHART = join(import.meta.dirname, '..', '..', '..', 'helm', 'shard-controller');

/** What the chart is rendered for where no cluster says it; a Helm that was not built by its own Makefile says 1.20. */
export const KUBERNETES = '1.37.1';

/** Values of the chart, as in a values file. */
export type Values = Readonly<Record<string, unknown>>;

/** A Kubernetes object to apply, with whatever fields its kind has. */
export type Manifest = KubernetesObject & Readonly<Record<string, unknown>>;

export interface RenderOptions {
  readonly namespace: string;
  /** Default `shard-controller`. */
  readonly release?: string;
  readonly values?: Values;
  /** Values files, before `values`. */
  readonly files?: readonly string[];
  /** Hooks are what Helm makes and deletes around an installation, and the test. Default true. */
  readonly hooks?: boolean;
  /** API groups and kinds that the cluster is said to have, besides Kubernetes' own. */
  readonly apiVersions?: readonly string[];
  /** Which Helm; default 4. */
  readonly helm?: Extract<BinaryName, 'helm' | 'helm-3'>;
}

/** Helm refused to render. The message is its own. */
export class HelmError extends Error {
  override readonly name = 'HelmError';
  readonly code = 'SC_HELM';
}

const manifestSchema = z.looseObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.looseObject({ name: z.string() }),
});

/**
 * What the chart makes, as YAML, in the order in which Helm makes it.
 * @throws HelmError
 */
async function renderYaml(options: RenderOptions): Promise<string> {
  const { namespace, release = 'shard-controller', values = {}, files = [], apiVersions = [] } = options;
  const args = [
    'template',
    release,
    CHART,
    `--namespace=${namespace}`,
    `--kube-version=${KUBERNETES}`,
    ...files.map((file) => `--values=${file}`),
    '--values=-',
    ...apiVersions.map((version) => `--api-versions=${version}`),
    ...(options.hooks === false ? ['--no-hooks'] : []),
  ];
  return helm(args, { input: JSON.stringify(values), binary: options.helm ?? 'helm' });
}

/** The same as objects. @throws HelmError */
export async function render(options: RenderOptions): Promise<readonly Manifest[]> {
  return parseManifests(await renderYaml(options));
}

/** Helm reads YAML 1.1; what the chart renders means the same in 1.2, or the parse fails here. */
export function parseManifests(yaml: string): readonly Manifest[] {
  return parseAllDocuments(yaml).flatMap((document) => {
    const [error] = document.errors;
    if (error !== undefined) throw error;
    const content: unknown = document.toJS();
    return content === null ? [] : [manifestSchema.parse(content)];
  });
}

/** Runs Helm and resolves with what it printed. @throws HelmError */
export async function helm(
  args: readonly string[],
  { input = '', binary = 'helm' }: { readonly input?: string; readonly binary?: 'helm' | 'helm-3' } = {},
): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const child = execFile(resolveBinary(binary), args, { maxBuffer: 64 * 1024 * 1024 }, (error, stdout, stderr) => {
    if (error === null) resolve(stdout);
    else reject(new HelmError(stderr.trim() === '' ? error.message : stderr.trim()));
  });
  child.stdin?.end(input);
  return promise;
}
