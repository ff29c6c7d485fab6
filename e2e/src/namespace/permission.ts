import { spawn } from 'node:child_process';
import { resolveSystemTool } from '../cluster/binaries.ts';
import { PROBE_SCRIPT } from './setup-script.ts';

const NAMESPACES = ['--mount', '--pid', '--net', '--fork', '--kill-child', '--propagation', 'private'] as const;

/** The kernel or a security policy does not let this user make the namespace. */
class NamespaceForbiddenError extends Error {
  readonly code = 'SC_NAMESPACE_FORBIDDEN';

  constructor(message: string) {
    super(message);
    this.name = 'NamespaceForbiddenError';
  }
}

/** The command line up to, not including, the shell script that PID 1 runs. */
type UnshareCommand = readonly [executable: string, ...args: string[]];

/**
 * Finds an unshare command that works here by running it with the real set-up. Root may not need a user namespace,
 * which helps where only those are forbidden.
 *
 * @throws NamespaceForbiddenError with one sentence: what the kernel said and what to do
 */
export async function findUnshareCommand(env: NodeJS.ProcessEnv): Promise<UnshareCommand> {
  const unshare = resolveSystemTool('unshare', 'util-linux', env);
  for (const [tool, debianPackage] of REQUIRED_TOOLS) resolveSystemTool(tool, debianPackage, env);
  const root = process.getuid?.() === 0;
  const candidates: UnshareCommand[] = [[unshare, '--user', '--map-root-user', ...NAMESPACES]];
  if (root) candidates.push([unshare, ...NAMESPACES]);
  let complaint = '';
  for (const candidate of candidates) {
    const outcome = await runProbe(candidate, env);
    if (outcome === undefined) return candidate;
    complaint ||= outcome;
  }
  throw new NamespaceForbiddenError(explainRefusal(complaint, root));
}

const REQUIRED_TOOLS = [
  ['nsenter', 'util-linux'],
  ['mount', 'mount'],
  ['ip', 'iproute2'],
  ['bridge', 'iproute2'],
] as const;

/** One sentence with the kernel's words and the remedy that fits them. */
export function explainRefusal(complaint: string, root: boolean): string {
  const said = complaint.trim().split('\n')[0] || 'no reason given';
  return `The test cluster needs a namespace of its own and the kernel refused it (${said}): ${remedy(said, root)}.`;
}

function remedy(said: string, root: boolean): string {
  if (said.includes('No space left on device')) {
    return 'raise the limits with `sysctl user.max_user_namespaces=15000 user.max_net_namespaces=15000`';
  }
  const container = 'in a container, start it with `--privileged` (or with seccomp, AppArmor and /proc unconfined)';
  if (/proc/.test(said) && !said.includes('uid_map'))
    return `parts of /proc are masked, as containers do; ${container}`;
  if (root) return `root lacks CAP_SYS_ADMIN here; ${container}`;
  return (
    'allow unprivileged user namespaces (`sysctl kernel.apparmor_restrict_unprivileged_userns=0` on Ubuntu, ' +
    `\`sysctl kernel.unprivileged_userns_clone=1\` on older Debian), or run as root; ${container}`
  );
}

/** Undefined on success, else what the command printed. */
function runProbe(command: UnshareCommand, env: NodeJS.ProcessEnv): Promise<string | undefined> {
  const [executable, ...args] = command;
  return new Promise((resolve) => {
    const child = spawn(executable, [...args, '/bin/sh', '-c', PROBE_SCRIPT], {
      env,
      stdio: ['ignore', 'ignore', 'pipe'],
      timeout: 20_000,
      killSignal: 'SIGKILL',
    });
    let text = '';
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
    child.on('error', (error) => resolve(error.message));
    child.on('close', (code, signal) => resolve(code === 0 ? undefined : text || `${executable}: ${signal ?? code}`));
  });
}
