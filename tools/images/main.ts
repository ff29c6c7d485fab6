/**
 * Makes the images of manager and worker as OCI archives, without a container engine, and a bill of materials for each.
 * They hold the pinned Node, the libraries of this machine that it is linked with, and one bundled program; the
 * Dockerfile puts the same program on a distroless base. The same commit on the same machine gives the same digests.
 *
 * Usage: tools/run.sh --node-only tools/images.sh [folder]      (dist/images)
 */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { bundledPackages, type Component, licenceTexts, spdxDocument } from './bill-of-materials.ts';
import { packLayer, writeOciArchive } from './oci-archive.ts';

const root = resolve(import.meta.dirname, '..', '..');
const output = resolve(process.argv[2] ?? join(root, 'dist', 'images'));

/** User and group of both programs; distroless images call it `nonroot`. */
const USER = 65532;
const PROGRAMS = [
  { name: 'manager', title: 'shard-controller manager', ports: [8080] },
  { name: 'worker', title: 'shard-controller worker', ports: [8080, 8082] },
] as const;
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' };

const { version }: { readonly version: string } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const git = (...args: readonly string[]): string =>
  execFileSync('git', args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();

function epoch(): number {
  const given = process.env['SOURCE_DATE_EPOCH'];
  return Number(given ?? git('log', '-1', '--format=%ct'));
}

function revision(): string {
  const isChanged = git('status', '--porcelain', '--untracked-files=no') !== '';
  return `${git('rev-parse', 'HEAD')}${isChanged ? '-changed' : ''}`;
}

/** Node, and what it is linked with at the places where it looks for it. */
function baseLayer(folder: string): void {
  const node = realpathSync(process.execPath);
  const put = (from: string, to: string, mode: number): void => {
    const path = join(folder, to);
    mkdirSync(dirname(path), { recursive: true });
    copyFileSync(from, path);
    chmodSync(path, mode);
  };
  put(node, '/nodejs/bin/node', 0o755);
  for (const library of libraries(node)) put(realpathSync(library), library, 0o755);
  mkdirSync(join(folder, 'etc'), { recursive: true });
  writeFileSync(
    join(folder, 'etc/passwd'),
    `root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:${USER}:${USER}:nonroot:/home/nonroot:/sbin/nologin\n`,
  );
  writeFileSync(join(folder, 'etc/group'), `root:x:0:\nnonroot:x:${USER}:\n`);
  mkdirSync(join(folder, 'tmp'));
  chmodSync(join(folder, 'tmp'), 0o1777);
}

/** Absolute paths of the shared libraries of a program, the dynamic linker included. */
function libraries(program: string): readonly string[] {
  const listed = execFileSync('ldd', [program], { encoding: 'utf8' });
  const paths = [...listed.matchAll(/(?:=> )?(\/\S+) \(0x/g)].map(([, path]) => path ?? '');
  if (paths.length === 0) throw new Error(`ldd names no library of ${program}: ${listed}`);
  return paths.sort();
}

/** Versions of the C and C++ libraries, as the dynamic linker's own package names them. */
function systemComponents(): readonly Component[] {
  const glibc = /(\d+\.\d+)\s*$/m.exec(
    execFileSync('ldd', ['--version'], { encoding: 'utf8' }).split('\n')[0] ?? '',
  )?.[1];
  return [
    { name: 'node', version: process.versions.node, licence: 'MIT', purl: `pkg:generic/node@${process.versions.node}` },
    {
      name: 'glibc',
      version: glibc ?? 'NOASSERTION',
      licence: 'LGPL-2.1-or-later',
      purl: `pkg:generic/glibc@${glibc ?? ''}`,
    },
    {
      name: 'libstdc++ and libgcc',
      version: 'NOASSERTION',
      licence: 'GPL-3.0-or-later WITH GCC-exception-3.1',
      purl: 'pkg:generic/libstdcxx',
    },
  ];
}

const architecture = ARCHITECTURES[process.arch];
if (architecture === undefined) throw new Error(`images are made on x64 and arm64, this is ${process.arch}`);
const time = epoch();
mkdirSync(output, { recursive: true });
const work = mkdtempSync(join(tmpdir(), 'shard-controller-images-'));
try {
  const baseFolder = join(work, 'base');
  mkdirSync(baseFolder);
  baseLayer(baseFolder);
  const base = packLayer(baseFolder, time);
  for (const { name, title, ports } of PROGRAMS) {
    const bundle = join(root, 'packages', name, 'dist', 'bundle.js');
    const packages = bundledPackages(`${bundle}.map`);
    const layer = join(work, name);
    mkdirSync(join(layer, 'app'), { recursive: true });
    copyFileSync(bundle, join(layer, 'app', `${name}.js`));
    writeFileSync(join(layer, 'app', 'package.json'), '{"type":"module"}\n');
    copyFileSync(join(root, 'LICENSE'), join(layer, 'app', 'LICENSE'));
    writeFileSync(join(layer, 'app', 'THIRD-PARTY-LICENSES'), licenceTexts(packages));
    const image = `shard-controller-${name}`;
    const archive = join(output, `${image}-${version}-${architecture}.tar`);
    const written = writeOciArchive(
      {
        reference: `${image}:${version}`,
        architecture,
        layers: [base, packLayer(layer, time)],
        epoch: time,
        config: {
          user: `${USER}:${USER}`,
          entrypoint: ['/nodejs/bin/node', `/app/${name}.js`],
          environment: { PATH: '/nodejs/bin', NODE_ENV: 'production' },
          workingDirectory: '/app',
          ports,
          labels: {
            'org.opencontainers.image.title': title,
            'org.opencontainers.image.version': version,
            'org.opencontainers.image.revision': revision(),
            'org.opencontainers.image.licenses': 'Apache-2.0',
          },
        },
      },
      archive,
    );
    const bill = spdxDocument({ name: image, version, epoch: time }, packages, systemComponents());
    writeFileSync(archive.replace(/\.tar$/, '.spdx.json'), `${JSON.stringify(bill, null, 2)}\n`);
    const mib = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
    process.stdout.write(
      `${archive}: ${written.digest}, ${mib(written.packedBytes)} packed, ${mib(written.unpackedBytes)} unpacked, ` +
        `${packages.length} libraries\n`,
    );
  }
} finally {
  rmSync(work, { recursive: true, force: true });
}
