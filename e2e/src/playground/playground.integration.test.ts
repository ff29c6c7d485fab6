import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';

const MAIN = join(import.meta.dirname, 'main.ts');

/** What `kubectl` needs of a kubeconfig. */
const kubeconfigSchema = z.object({
  clusters: z.tuple([
    z.object({
      cluster: z.object({
        server: z.string(),
        'certificate-authority-data': z.string(),
        'tls-server-name': z.string(),
      }),
    }),
  ]),
  users: z.tuple([z.object({ user: z.object({ token: z.string() }) })]),
});

let parent: string;
let folder: string;

beforeAll(() => {
  parent = mkdtempSync(join(tmpdir(), 'sc-up-'));
  folder = join(parent, 'playground');
});

afterAll(async () => {
  await playground('down');
  rmSync(parent, { recursive: true, force: true });
});

describe('a playground', () => {
  it('goes on after the command that started it, says so when asked again, and ends when told to', async () => {
    const first = await playground('up');
    expect(first).toMatchObject({ code: 0, output: expect.stringContaining(`export KUBECONFIG=${folder}/kubeconfig`) });
    expect(await apiVersion()).toMatch(/^v1\.37\./);
    const metrics = /curl -s (http:\S+)\/ /.exec(first.output)?.[1] ?? '';
    expect((await fetch(`${metrics}/`)).status).toBe(200);
    expect((await fetch(`${metrics}/nobody/metrics`)).status).toBe(404);

    const second = await playground('up');
    expect(second).toMatchObject({ code: 0, output: expect.stringContaining('runs already') });
    await expect.poll(() => second.output).toContain(metrics);

    expect(await playground('down')).toEqual({ code: 0, output: 'The playground is gone.\n' });
    expect(existsSync(folder)).toBe(false);
    await expect(fetch(metrics)).rejects.toThrow('fetch failed');
    expect(await playground('down')).toEqual({ code: 0, output: 'No playground runs.\n' });
  });

  it('that cannot start says why', async () => {
    const { code, output } = await playground('up', { SHARD_CONTROLLER_BIN_DIR: parent, KUBEBUILDER_ASSETS: '' });
    expect(code).toBe(1);
    await expect.poll(() => output).toContain('etcd was not found');
    await expect.poll(() => output).toContain('make tools');
  });

  it('knows only up and down', async () => {
    expect(await playground('sideways')).toMatchObject({ code: 64 });
  });
});

function playground(command: string, env: NodeJS.ProcessEnv = {}): Promise<{ code: number | null; output: string }> {
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      ['--conditions=@shard/source', MAIN, command],
      { env: { ...process.env, SHARD_CONTROLLER_PLAYGROUND: folder, ...env } },
      (_error, stdout, stderr) => resolve({ code: child.exitCode, output: stdout + stderr }),
    );
  });
}

/** As kubectl from the user's own shell, through the forwarder. */
async function apiVersion(): Promise<string> {
  const { clusters, users } = kubeconfigSchema.parse(JSON.parse(readFileSync(join(folder, 'kubeconfig'), 'utf8')));
  const [{ cluster }] = clusters;
  const [{ user }] = users;
  const text = await new Promise<string>((resolve, reject) => {
    request(
      `${cluster.server}/version`,
      {
        ca: Buffer.from(cluster['certificate-authority-data'], 'base64'),
        servername: cluster['tls-server-name'],
        headers: { authorization: `Bearer ${user.token}` },
      },
      (response) => {
        let body = '';
        response.setEncoding('utf8').on('data', (chunk: string) => {
          body += chunk;
        });
        response.on('end', () => resolve(body));
      },
    )
      .on('error', reject)
      .end();
  });
  return z.object({ gitVersion: z.string() }).parse(JSON.parse(text)).gitVersion;
}
