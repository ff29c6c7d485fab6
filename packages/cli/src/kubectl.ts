import { spawn } from 'node:child_process';
import { CliError, EXIT } from './errors.ts';

/** Flags that are kubectl's own and are handed on to it. */
export interface KubectlFlags {
  readonly namespace?: string | undefined;
  readonly context?: string | undefined;
  readonly kubeconfig?: string | undefined;
}

/** A kubectl process that has ended. */
export interface Finished {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs one kubectl process to its end. */
export type Execute = (args: readonly string[]) => Promise<Finished>;

/** Most bytes of one answer that are kept. */
const MAX_OUTPUT = 512 * 1024 * 1024;

/**
 * The cluster, through kubectl: a plugin has it at hand, and it knows every way to log in. Each call is one kubectl
 * process.
 */
export class Kubectl {
  readonly #flags: KubectlFlags;
  readonly #execute: Execute;

  constructor(flags: KubectlFlags, execute: Execute) {
    this.#flags = flags;
    this.#execute = execute;
  }

  /** What kubectl prints. @throws CliError with kubectl's own sentence */
  async run(args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.#ended(args);
    if (code === 0) return stdout;
    throw new CliError(EXIT.unreachable, `kubectl ${args.join(' ')}: ${lastLine(stderr) || `exit code ${code}`}`);
  }

  /** @throws CliError */
  async json(args: readonly string[]): Promise<unknown> {
    return JSON.parse(await this.run([...args, '-o', 'json']));
  }

  /** As `json`, undefined when there is no such object or kind. @throws CliError */
  async find(args: readonly string[]): Promise<unknown> {
    const { code, stdout, stderr } = await this.#ended([...args, '-o', 'json']);
    if (code === 0) return JSON.parse(stdout);
    if (/NotFound|doesn't have a resource type/.test(stderr)) return undefined;
    throw new CliError(EXIT.unreachable, `kubectl ${args.join(' ')}: ${lastLine(stderr) || `exit code ${code}`}`);
  }

  /** The answer of the API server to a GET, or its sentence when it refuses. */
  async raw(path: string): Promise<{ readonly ok: boolean; readonly text: string }> {
    const { code, stdout, stderr } = await this.#ended(['get', '--raw', path]);
    return code === 0 ? { ok: true, text: stdout } : { ok: false, text: lastLine(stderr) };
  }

  #ended(args: readonly string[]): Promise<Finished> {
    const { namespace, context, kubeconfig } = this.#flags;
    return this.#execute([
      ...args,
      ...(namespace === undefined || args.includes('--all-namespaces') ? [] : ['--namespace', namespace]),
      ...(context === undefined ? [] : ['--context', context]),
      ...(kubeconfig === undefined ? [] : ['--kubeconfig', kubeconfig]),
    ]);
  }
}

/** Runs this program as kubectl. @throws CliError when it cannot be run */
export const executing =
  (program: string): Execute =>
  async (args) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    child.on('error', (error) => {
      const message = `${program} cannot be run: ${error.message}; is it on the PATH?`;
      reject(new CliError(EXIT.unreachable, message, { cause: error }));
    });
    child.on('close', (code) => resolve(code ?? 1));
    const [code, stdout, stderr] = await Promise.all([promise, collect(child.stdout), collect(child.stderr)]);
    return { code, stdout, stderr };
  };

async function collect(stream: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of stream) {
    bytes += chunk.length;
    if (bytes > MAX_OUTPUT) throw new CliError(EXIT.unreachable, `kubectl printed more than ${MAX_OUTPUT} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

const lastLine = (text: string): string => text.trim().split('\n').at(-1) ?? '';
