import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { elapse } from '@shard-controller/shared/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const ENTER = join(import.meta.dirname, 'enter.ts');
const INSIDE_PORTS = join(import.meta.dirname, 'inside-ports.ts');
const NODE = [process.execPath, '--conditions=@shard/source'] as const;

let folder: string;
const started: ChildProcess[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sc-t-'));
});

afterEach(() => {
  for (const child of started.splice(0)) child.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

describe('a command in the namespace', () => {
  it('sees its own processes and network, and its exit code is passed on', async () => {
    const { code, output } = await finish(
      enter(['sh', '-c', 'echo pid 1 is $(cat /proc/1/comm); ip -br addr; exit 7']),
    );
    expect(code).toBe(7);
    await expect.poll(() => output).toContain('pid 1 is sh');
    await expect.poll(() => output).toMatch(/br0 .*10\.88\.0\.1\/16 10\.88\.0\.2\/16 10\.88\.0\.3\/16/);
    expect(output).not.toContain('eth0');
  });

  it('reads the standard input of the launcher', async () => {
    const child = enter(['cat']);
    child.stdin?.end('through\n');
    expect(await finish(child)).toEqual({ code: 0, output: 'through\n' });
  });

  it('works without any environment', async () => {
    const { code, output } = await finish(enter(['node', '--version'], {}));
    expect({ code, output }).toEqual({ code: 0, output: `${process.version}\n` });
  });

  it('leaves no zombie of what its children left', async () => {
    const script = "sh -c 'sleep 0.2 & sleep 0.1'; sleep 0.5; grep -l '^State:.*zombie' /proc/[0-9]*/status; true";
    expect(await finish(enter(['sh', '-c', script]))).toEqual({ code: 0, output: '' });
  });

  it('that does not exist is exit code 127, and no command at all is 64', async () => {
    expect((await finish(enter(['no-such-command']))).code).toBe(127);
    expect((await finish(enter([]))).code).toBe(64);
  });
});

describe('the end', () => {
  it('comes in order after an interrupt: the command alone gets the signal, and its exit code counts', async () => {
    const child = enter([
      ...NODE,
      '-e',
      `const child = require('child_process').spawn('sleep', ['60'], { detached: true });
       process.on('SIGINT', () => { console.log('interrupted, child', child.exitCode); process.exit(5) });
       console.log('up'); setInterval(() => {}, 1000)`,
    ]);
    await said(child, 'up');
    child.kill('SIGINT');
    expect(await finish(child)).toMatchObject({ code: 5, output: 'interrupted, child null\n' });
  });

  it('comes at the third interrupt when the command does not care', async () => {
    const child = enter(['sh', '-c', 'trap "" INT TERM; echo up; sleep 60 & wait; sleep 60']);
    await said(child, 'up');
    const finished = finish(child);
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGINT'] as const) {
      child.kill(signal);
      await elapse(50);
    }
    expect((await finished).code).toBe(128 + 9);
  });

  it.for(['SIGKILL', 'SIGTERM'] as const)('leaves no process behind when the launcher gets %s', async (signal) => {
    const marker = `77${process.pid}`;
    const script = `sleep ${marker} & setsid sleep ${marker} & echo up; wait`;
    const child = enter(['sh', '-c', script]);
    await said(child, 'up');
    await expect.poll(() => sleepers(marker)).toBe(2);
    child.kill(signal);
    await expect.poll(() => sleepers(marker)).toBe(0);
  });

  it('removes the shared folder, and that of a launcher that was killed before', async () => {
    const abandoned = join(folder, 'sc-ns-abandoned');
    mkdirSync(abandoned);
    // No process has this number: it is above the kernel's highest.
    writeFileSync(join(abandoned, 'launcher.pid'), '4194305');
    const { output } = await finish(enter(['sh', '-c', 'echo "$SHARD_CONTROLLER_NS_DIR"'], { TMPDIR: folder }));
    expect(output.trim()).toContain(join(folder, 'sc-ns-'));
    expect(existsSync(output.trim())).toBe(false);
    expect(readdirSync(folder)).toEqual([]);
  });
});

describe('an address inside', () => {
  it('is reachable on 127.0.0.1 for as long as it is exposed', async () => {
    const program = join(folder, 'exposed.ts');
    writeFileSync(
      program,
      `import { createServer } from 'node:http';
       import { exposeOutside } from ${JSON.stringify(INSIDE_PORTS)};
       const server = createServer((q, r) => r.end('from inside')).listen(8080, '10.88.0.2', async () => {
         const outside = await exposeOutside(() => ({ host: '10.88.0.2', port: 8080 }));
         console.log('port ' + outside.port);
         process.stdin.once('data', async () => { await outside.close(); console.log('closed'); });
       });`,
    );
    const child = enter([...NODE, program]);
    const port = /port (\d+)/.exec(await said(child, 'port'))?.[1];
    const url = `http://127.0.0.1:${port}/`;
    expect(await (await fetch(url)).text()).toBe('from inside');
    child.stdin?.write('close\n');
    await said(child, 'closed');
    await expect
      .poll(() =>
        fetch(url).then(
          () => 'open',
          () => 'refused',
        ),
      )
      .toBe('refused');
    child.kill('SIGTERM');
    await finish(child);
  });
});

function enter(command: readonly string[], env: NodeJS.ProcessEnv = { PATH: process.env['PATH'] }): ChildProcess {
  const [executable, ...args] = NODE;
  const child = spawn(executable, [...args, ENTER, '--', ...command], { env, stdio: ['pipe', 'pipe', 'inherit'] });
  child.stdout.setEncoding('utf8');
  started.push(child);
  return child;
}

async function finish(child: ChildProcess): Promise<{ code: number | null; output: string }> {
  let output = '';
  child.stdout?.on('data', (chunk: string) => {
    output += chunk;
  });
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
  return { code, output };
}

function said(child: ChildProcess, what: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let output = '';
    const listen = (chunk: string): void => {
      output += chunk;
      if (!output.includes(what) || !output.endsWith('\n')) return;
      child.stdout?.off('data', listen);
      resolve(output);
    };
    child.stdout?.on('data', listen);
    child.once('close', () => reject(new Error(`ended before it said ${what}: ${output}`)));
  });
}

/** Processes of this machine, seen from outside, that sleep for this many seconds. */
function sleepers(seconds: string): number {
  return readdirSync('/proc').filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/cmdline`, 'utf8') === `sleep\0${seconds}\0`;
    } catch {
      return false;
    }
  }).length;
}
