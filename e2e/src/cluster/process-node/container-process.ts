import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readlinkSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { resolveSystemTool } from '../binaries.ts';
import { HARNESS_MARK } from '../managed-process.ts';
import type { CheckResult } from './probe.ts';
import type { Mount } from './volumes.ts';

export interface ContainerProcessSpec {
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly workingDir: string;
  readonly networkFile: string;
  readonly mounts: readonly Mount[];
  /** For mount points below folders that this user may not write. */
  readonly scratchFolder: string;
  readonly logFile: string;
  readonly mark: string;
}

export interface ProcessEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/**
 * Mounts, then becomes the command: no process is left in between, so signals and exit codes are the command's own.
 * A mount point that does not exist is made in an overlay, never in the machine's own folders.
 */
const MOUNT_SCRIPT = `
scratch=$1 count=$2; shift 2
fail() { echo "process node: $*" >&2; exit 125; }
layers=
own() {
  case $1/ in /run/*|/var/run/*) return 0 ;; esac
  for layer in $layers; do case $1/ in "$layer"/*) return 0 ;; esac; done
  return 1
}
point() {
  [ -e "$1" ] && return
  parent=$(dirname "$1")
  while [ ! -d "$parent" ]; do parent=$(dirname "$parent"); done
  if ! own "$parent"; then
    [ "$parent" != / ] || fail "mount path $1 must lie below a folder that exists on this machine"
    new=$(mktemp -d "$scratch/layer-XXXXXX") && mkdir "$new/upper" "$new/work" &&
      mount -t overlay -o "lowerdir=$parent,upperdir=$new/upper,workdir=$new/work" overlay "$parent" ||
      fail "cannot make mount path $1"
    layers="$layers $parent"
  fi
  if [ -d "$2" ]; then mkdir -p "$1"; else mkdir -p "$(dirname "$1")" && : >"$1"; fi
}
while [ "$count" -gt 0 ]; do
  point "$2" "$1"
  mount --bind "$1" "$2" || fail "cannot mount on $2"
  [ "$3" = rw ] || mount -o remount,bind,ro "$2" 2>/dev/null || :
  shift 3; count=$((count - 1))
done
exec "$@"
`;

/** One run of a container: a process in the pod's network, with mounts of its own. */
export class ContainerProcess {
  readonly startedAt = Date.now();
  readonly ended: Promise<ProcessEnd>;
  readonly #spec: ContainerProcessSpec;
  readonly #child: ChildProcess;
  #over = false;

  constructor(spec: ContainerProcessSpec) {
    this.#spec = spec;
    const mounts = spec.mounts.flatMap(({ source, target, readOnly }) => [source, target, readOnly ? 'ro' : 'rw']);
    const log = openSync(spec.logFile, 'a');
    try {
      this.#child = spawn(
        resolveSystemTool('nsenter', 'util-linux'),
        [
          `--net=${spec.networkFile}`,
          resolveSystemTool('unshare', 'util-linux'),
          '--mount',
          '--propagation',
          'private',
          '/bin/sh',
          '-c',
          MOUNT_SCRIPT,
          'mounts',
          spec.scratchFolder,
          String(spec.mounts.length),
          ...mounts,
          ...spec.command,
        ],
        {
          cwd: spec.workingDir,
          env: { ...baseEnvironment(spec.mark), ...spec.env },
          stdio: ['ignore', log, log],
          // A group of its own: a kill takes its children too.
          detached: true,
        },
      );
    } finally {
      closeSync(log);
    }
    this.ended = new Promise((resolve) => {
      const over = (end: ProcessEnd): void => {
        this.#over = true;
        resolve(end);
      };
      this.#child.on('error', () => over({ code: 127, signal: null }));
      this.#child.on('exit', (code, signal) => over({ code, signal }));
    });
  }

  get pid(): number | undefined {
    return this.#over ? undefined : this.#child.pid;
  }

  /** SIGTERM to the main process, as a container runtime does. */
  terminate(): void {
    this.#child.kill('SIGTERM');
  }

  /** SIGKILL to the main process and all its descendants that stayed in its group. */
  kill(): void {
    const { pid } = this;
    if (pid === undefined) return;
    try {
      process.kill(-pid, 'SIGKILL');
    } catch {
      this.#child.kill('SIGKILL');
    }
  }

  /** A process so young that it is still in the harness's own namespaces would take a command beside it there. */
  async #entered(): Promise<void> {
    while (this.pid !== undefined && mountNamespace(this.pid) === mountNamespace('self')) await sleep(10);
  }

  /** Runs a command beside the main process: its network, its mounts, its environment. */
  async exec(command: readonly string[], timeoutMs: number): Promise<CheckResult> {
    await this.#entered();
    const { pid } = this;
    if (pid === undefined) return 'the container does not run';
    return new Promise((resolve) => {
      const child = spawn(
        resolveSystemTool('nsenter', 'util-linux'),
        ['--target', String(pid), '--net', '--mount', ...command],
        {
          cwd: this.#spec.workingDir,
          env: { ...baseEnvironment(this.#spec.mark), ...this.#spec.env },
          stdio: 'ignore',
          timeout: timeoutMs,
          killSignal: 'SIGKILL',
        },
      );
      child.on('error', (error) => resolve(error.message));
      child.on('exit', (code, signal) =>
        resolve(code === 0 ? undefined : `${command[0]} ended with ${signal ?? code}`),
      );
    });
  }
}

function mountNamespace(pid: number | 'self'): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/mnt`);
  } catch {
    return undefined;
  }
}

/** Only what any image would bring along; nothing of the harness's own environment leaks into a pod. */
function baseEnvironment(mark: string): Readonly<Record<string, string>> {
  return { PATH: process.env['PATH'] ?? '/usr/bin:/bin', HOME: '/tmp', [HARNESS_MARK]: mark };
}
