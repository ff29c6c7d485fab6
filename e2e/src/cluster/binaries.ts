import { accessSync, constants } from 'node:fs';
import { delimiter, join, resolve } from 'node:path';

/** The real parts that the harness starts, with the environment variable that names one explicitly. */
const VARIABLES = {
  'kube-apiserver': 'KUBE_APISERVER_BIN',
  etcd: 'ETCD_BIN',
  'kube-controller-manager': 'KUBE_CONTROLLER_MANAGER_BIN',
  'kube-scheduler': 'KUBE_SCHEDULER_BIN',
  kubectl: 'KUBECTL_BIN',
  informer: 'INFORMER_BIN',
  kwok: 'KWOK_BIN',
  'nats-server': 'NATS_SERVER_BIN',
  'kube-state-metrics': 'KUBE_STATE_METRICS_BIN',
  helm: 'HELM_BIN',
  'helm-3': 'HELM3_BIN',
} as const;

export type BinaryName = keyof typeof VARIABLES;

/** kwok exits without stages (its simulated node and pod life cycles); the tool bootstrap puts them beside the binary. */
const KWOK_STAGES = 'kwok-stages.yaml';

type Environment = Readonly<Record<string, string | undefined>>;

/** A part of the cluster is not on this machine. The message names the part and the ways to provide it. */
export class BinaryMissingError extends Error {
  readonly code = 'SC_BINARY_MISSING';
  readonly binary: string;

  constructor(binary: string, message: string) {
    super(message);
    this.name = 'BinaryMissingError';
    this.binary = binary;
  }
}

/**
 * The absolute path of one binary. Looked for in this order: its own variable (for example `NATS_SERVER_BIN`),
 * the folder `SHARD_CONTROLLER_BIN_DIR`, the folder `KUBEBUILDER_ASSETS`.
 * A variable of its own that names no executable file is an error, not a reason to look elsewhere.
 *
 * @throws BinaryMissingError
 */
export function resolveBinary(name: BinaryName, env: Environment = process.env): string {
  const variable = VARIABLES[name];
  const named = env[variable];
  if (named !== undefined && named !== '') {
    if (isExecutable(named)) return resolve(named);
    throw new BinaryMissingError(name, `${variable}=${named} is not an executable file: correct or unset ${variable}.`);
  }
  for (const folder of folders(env)) {
    const candidate = join(folder, name);
    if (isExecutable(candidate)) return resolve(candidate);
  }
  throw new BinaryMissingError(name, `${name} was not found${searched(env)}: run \`make tools\` or set ${variable}.`);
}

/** Several binaries that must all be there; one error names every one that is missing. */
export function resolveBinaries<Name extends BinaryName>(
  names: readonly Name[],
  env: Environment = process.env,
): Readonly<Record<Name, string>> {
  const found: Partial<Record<Name, string>> = {};
  const problems: string[] = [];
  for (const name of names) {
    try {
      found[name] = resolveBinary(name, env);
    } catch (error) {
      problems.push(error instanceof Error ? error.message : String(error));
    }
  }
  if (isComplete(found, names)) return found;
  throw new BinaryMissingError(names.filter((name) => found[name] === undefined).join(', '), problems.join('\n'));
}

/**
 * kwok's stages file: `KWOK_STAGES`, or `kwok-stages.yaml` in one of the folders of {@link resolveBinary}.
 *
 * @throws BinaryMissingError
 */
export function resolveKwokStages(env: Environment = process.env): string {
  const named = env['KWOK_STAGES'];
  const candidates = named ? [named] : folders(env).map((folder) => join(folder, KWOK_STAGES));
  const found = candidates.find((candidate) => isReadable(candidate));
  if (found !== undefined) return resolve(found);
  throw new BinaryMissingError(
    KWOK_STAGES,
    `${named ?? KWOK_STAGES} was not found${searched(env)}: run \`make tools\` or set KWOK_STAGES to kwok's stages.`,
  );
}

/**
 * A tool of the system. An ordinary user's PATH often lacks the sbin folders, where `ip` and `bridge` live.
 *
 * @throws BinaryMissingError
 */
export function resolveSystemTool(name: string, debianPackage: string, env: Environment = process.env): string {
  const path = [...(env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/usr/bin', '/sbin', '/bin'];
  const found = path.filter((folder) => folder !== '').find((folder) => isExecutable(join(folder, name)));
  if (found !== undefined) return join(found, name);
  throw new BinaryMissingError(name, `${name} was not found: install the system package \`${debianPackage}\`.`);
}

function folders(env: Environment): readonly string[] {
  return [env['SHARD_CONTROLLER_BIN_DIR'], env['KUBEBUILDER_ASSETS']].filter(
    (folder): folder is string => folder !== undefined && folder !== '',
  );
}

function searched(env: Environment): string {
  const list = folders(env);
  return list.length === 0
    ? ' (SHARD_CONTROLLER_BIN_DIR and KUBEBUILDER_ASSETS are not set)'
    : ` in ${list.join(' or ')}`;
}

function isComplete<Name extends string>(
  found: Partial<Record<Name, string>>,
  names: readonly Name[],
): found is Record<Name, string> {
  return names.every((name) => found[name] !== undefined);
}

function isExecutable(path: string): boolean {
  return allows(path, constants.X_OK);
}

function isReadable(path: string): boolean {
  return allows(path, constants.R_OK);
}

function allows(path: string, mode: number): boolean {
  try {
    accessSync(path, mode);
    return true;
  } catch {
    return false;
  }
}
