import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { PATIENCE_MS } from '@shard-controller/shared/testing';
import type { Expectation } from './judge.ts';
import type { VerifierRequest, VerifierResponse, VerifierResult, VerifierSettings } from './protocol.ts';
import type { ComparisonOutcome, LiveFigures } from './verifier.ts';

type Ask = Exclude<VerifierRequest, { type: 'start' }>;
type Unnumbered<T> = T extends unknown ? Omit<T, 'id'> : never;

/** A running verifier process. */
export class VerifierProcess {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, { resolve: (result: VerifierResult) => void; reject: (error: Error) => void }>();
  readonly #listeners = new Set<(live: LiveFigures) => void>();
  #nextId = 1;
  #newest: LiveFigures | undefined;

  constructor(settings: VerifierSettings) {
    this.#child = fork(join(import.meta.dirname, 'main.ts'), {
      execArgv: ['--conditions=@shard/source', '--max-semi-space-size=32'],
      serialization: 'advanced',
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    this.#child.on('message', (response: VerifierResponse) => this.#receive(response));
    this.#child.once('exit', (code, signal) => {
      const error = new Error(`the verifier's process ended (${signal ?? `exit code ${code}`})`);
      for (const { reject } of this.#waiting.values()) reject(error);
      this.#waiting.clear();
    });
    this.#child.send({ type: 'start', settings } satisfies VerifierRequest);
  }

  /** Figures of the newest tick. */
  get newest(): LiveFigures | undefined {
    return this.#newest;
  }

  onTick(listener: (live: LiveFigures) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Resolves at the first tick that `condition` holds for. @throws Error when `withinMs` is over. */
  async waitFor(what: string, condition: (live: LiveFigures) => boolean, withinMs = PATIENCE_MS): Promise<LiveFigures> {
    return new Promise((resolve, reject) => {
      const stop = this.onTick((live) => {
        if (!condition(live)) return;
        clearTimeout(timer);
        stop();
        resolve(live);
      });
      const timer = setTimeout(() => {
        stop();
        reject(new Error(`${what}: not within ${withinMs} ms; newest tick: ${JSON.stringify(this.#newest)}`));
      }, withinMs);
    });
  }

  async startPhase(name: string, expectation: Expectation = 'reference'): Promise<void> {
    await this.#ask({ type: 'startPhase', name, expectation });
  }

  async endPhase(): Promise<LiveFigures> {
    return (await this.#ask({ type: 'endPhase' })) as LiveFigures;
  }

  async compare(withinMs = PATIENCE_MS / 2): Promise<ComparisonOutcome> {
    return (await this.#ask({ type: 'compare', withinMs })) as ComparisonOutcome;
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = once(this.#child, 'exit');
    this.#child.disconnect();
    await gone;
  }

  #ask(request: Unnumbered<Ask>): Promise<VerifierResult> {
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#child.send({ ...request, id });
    });
  }

  #receive(response: VerifierResponse): void {
    if (response.type === 'tick') {
      this.#newest = response.live;
      for (const listener of this.#listeners) listener(response.live);
      return;
    }
    const waiting = this.#waiting.get(response.id);
    this.#waiting.delete(response.id);
    if (response.type === 'done') waiting?.resolve(response.result);
    else waiting?.reject(new Error(response.message));
  }
}
