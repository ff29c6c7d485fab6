import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const root = resolve(import.meta.dirname, '..', '..');
const folder = mkdtempSync(join(tmpdir(), 'shard-controller-images-test-'));

const json = (...path: readonly string[]) => JSON.parse(readFileSync(join(...path), 'utf8'));
const build = (name: string): string =>
  execFileSync(join(root, 'tools', 'images.sh'), [join(folder, name)], { encoding: 'utf8' });

interface Unpacked {
  readonly layout: string;
  readonly files: string;
  readonly manifest: { readonly config: { digest: string }; readonly layers: readonly { digest: string }[] };
  readonly config: Record<string, unknown> & { readonly config: Record<string, unknown> };
}

function unpack(program: string): Unpacked {
  const archive = readdirSync(join(folder, 'first')).find((name) => name.includes(program) && name.endsWith('.tar'));
  const layout = join(folder, `${program}-layout`);
  const files = join(folder, `${program}-files`);
  for (const each of [layout, files]) mkdirSync(each);
  execFileSync('tar', ['-xf', join(folder, 'first', archive ?? ''), '-C', layout]);
  const blob = (digest: string): string => join(layout, 'blobs', digest.replace(':', '/'));
  const [{ digest }] = json(layout, 'index.json').manifests;
  const manifest = json(blob(digest));
  for (const layer of manifest.layers) execFileSync('tar', ['-xzf', blob(layer.digest), '-C', files]);
  return { layout, files, manifest, config: json(blob(manifest.config.digest)) };
}

let said: string;

beforeAll(() => {
  said = build('first');
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe.each(['manager', 'worker'])('the image of the %s', (program) => {
  let image: Unpacked;

  beforeAll(() => {
    image = unpack(program);
  });

  test('has a digest for each part that its content has', () => {
    const blobs = join(image.layout, 'blobs', 'sha256');
    for (const name of readdirSync(blobs)) {
      expect(
        createHash('sha256')
          .update(readFileSync(join(blobs, name)))
          .digest('hex'),
      ).toBe(name);
    }
    expect(readdirSync(blobs)).toHaveLength(2 + image.manifest.layers.length);
  });

  test('runs one bundled program as a user whom a kubelet can tell from root', () => {
    expect(image.config.config).toMatchObject({
      User: '65532:65532',
      Entrypoint: ['/nodejs/bin/node', `/app/${program}.js`],
      WorkingDir: '/app',
    });
  });

  test('holds all that its program needs to start, and the program names the settings that are missing', () => {
    const entrypoint = ['/nodejs/bin/node', `/app/${program}.js`];
    // Alone with the image's files; no setting is given.
    const run = spawnSync('unshare', ['--user', '--map-root-user', 'chroot', image.files, ...entrypoint], {
      encoding: 'utf8',
      env: { PATH: process.env['PATH'] },
    });
    expect(`${run.stdout}${run.stderr}`).toContain('POD_NAMESPACE');
    expect(run.status).toBe(2);
  });

  test('says in its bill of materials what the bundle is made of', () => {
    const name = readdirSync(join(folder, 'first')).find((each) => each.includes(program) && each.endsWith('.json'));
    const names = json(folder, 'first', name ?? '').packages.map((part: { readonly name: string }) => part.name);
    expect(names).toEqual(expect.arrayContaining(['node', 'glibc', '@nats-io/transport-node', 'zod']));
    expect(names.includes('xstate')).toBe(program === 'manager');
    const licences = readFileSync(join(image.files, 'app', 'THIRD-PARTY-LICENSES'), 'utf8');
    expect(licences).toContain('@nats-io/transport-node');
  });
});

test('the same commit gives the same images', () => {
  const digests = (text: string): string[] => [...text.matchAll(/sha256:[0-9a-f]{64}/g)].map(([digest]) => digest);
  expect(digests(said)).toHaveLength(2);
  expect(digests(build('second'))).toEqual(digests(said));
});
