import { spawn } from 'node:child_process';

/** A short system command failed. */
class CommandError extends Error {
  readonly code = 'SC_COMMAND_FAILED';

  constructor(command: readonly string[], reason: string) {
    super(`${command.join(' ')}: ${reason}`);
    this.name = 'CommandError';
  }
}

/** Runs a short command to its end. @throws CommandError with what it printed */
export function run(command: readonly [string, ...string[]], input?: string): Promise<string> {
  const [executable, ...args] = command;
  return new Promise((resolve, reject) => {
    const child = spawn(executable, args, { stdio: ['pipe', 'pipe', 'pipe'], timeout: 10_000, killSignal: 'SIGKILL' });
    let output = '';
    let complaint = '';
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      output += chunk;
    });
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      complaint += chunk;
    });
    child.on('error', (error) => reject(new CommandError(command, error.message)));
    child.on('close', (code, signal) => {
      if (code === 0) resolve(output);
      else reject(new CommandError(command, complaint.trim() || `ended with ${signal ?? code}`));
    });
    child.stdin.on('error', () => undefined);
    child.stdin.end(input);
  });
}
