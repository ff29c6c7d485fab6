import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, describe, expect, it } from 'vitest';
import { z } from 'zod';

const children: ChildProcess[] = [];

afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

const lineSchema = z.looseObject({ level: z.string(), msg: z.string(), code: z.string().optional() });

/** A real process whose `main` is the given body. */
function start(body: string) {
  const source = `
    import { runMain, ConfigError } from ${JSON.stringify(import.meta.resolve('./index.ts'))};
    import { createLogger } from ${JSON.stringify(import.meta.resolve('../observability/index.ts'))};
    const logger = createLogger({ name: 'trial' });
    await runMain(async (signal) => { ${body} }, { logger, graceMs: 500 });`;
  const args = ['--conditions=@shard/source', '--input-type=module-typescript', '--eval', source];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    output += chunk;
  });
  return {
    child,
    lines: () =>
      output
        .trim()
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => lineSchema.parse(JSON.parse(line))),
    async says(text: string): Promise<void> {
      while (!output.includes(text)) await once(child.stdout, 'data');
    },
    async exitCode(): Promise<number | null> {
      if (child.exitCode === null) await once(child, 'close');
      return child.exitCode;
    },
  };
}

const WAIT = `logger.info('up'); const alive = setInterval(() => {}, 1000);
  await new Promise((resolve) => signal.addEventListener('abort', resolve)); clearInterval(alive);`;

describe('runMain', () => {
  it.each(['SIGTERM', 'SIGINT'] as const)('ends with 0 after %s, when main has ended', async (signal) => {
    const main = start(`${WAIT} logger.info('drained');`);
    await main.says('up');
    main.child.kill(signal);
    expect(await main.exitCode()).toBe(0);
    expect(main.lines().map(({ msg }) => msg)).toEqual(['up', 'shutting down', 'drained']);
  });

  it('ends with 1 and one line when main fails', async () => {
    const main = start(`throw Object.assign(new Error('no API server at https://x'), { code: 'SC_API' });`);
    expect(await main.exitCode()).toBe(1);
    expect(main.lines()).toMatchObject([{ level: 'fatal', code: 'SC_API', msg: 'failed: no API server at https://x' }]);
  });

  it('ends with 2 when the configuration is wrong', async () => {
    const main = start(`throw new ConfigError([{ variable: 'PORT', given: 'x', expected: 'a number' }]);`);
    expect(await main.exitCode()).toBe(2);
    expect(main.lines()).toMatchObject([{ code: 'SC_CONFIG', msg: expect.stringContaining('PORT is "x"') }]);
  });

  it.each([
    ['an unhandled rejection', `Promise.reject(new Error('lost')); ${WAIT}`, 'unhandled rejection: lost'],
    ['an uncaught exception', `setTimeout(() => { throw new Error('odd'); }); ${WAIT}`, 'uncaught exception: odd'],
  ])('ends with 1 and one line on %s', async (_what, body, message) => {
    const main = start(body);
    expect(await main.exitCode()).toBe(1);
    expect(main.lines().at(-1)).toMatchObject({ level: 'fatal', msg: message });
  });

  it('ends at once on a second signal', async () => {
    const main = start(`logger.info('up'); setInterval(() => {}, 1000); await new Promise(() => {});`);
    await main.says('up');
    main.child.kill('SIGTERM');
    await main.says('shutting down');
    main.child.kill('SIGTERM');
    expect(await main.exitCode()).toBe(1);
    expect(main.lines().at(-1)).toMatchObject({ msg: 'second signal: exiting at once' });
  });

  it('ends with 1 when main does not end within the grace period', async () => {
    const main = start(`logger.info('up'); setInterval(() => {}, 1000); await new Promise(() => {});`);
    await main.says('up');
    main.child.kill('SIGTERM');
    expect(await main.exitCode()).toBe(1);
    expect(main.lines().at(-1)).toMatchObject({ level: 'fatal', msg: 'end: still running 500 ms after SIGTERM' });
  });
});
