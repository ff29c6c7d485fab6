/**
 * Builds the real parts that tests and demo run (tools/binaries.json) with `go build`, once per pin.
 *
 * A binary lands in `<cache>/<name>/<version>-<pin>/`, where the pin is a hash of its Go module files, package and
 * flags, so another checkout with the same pin shares it. Go checks every module against go.sum. An interrupted build
 * continues where Go's own build cache stands. `.cache/bin` in the checkout links to what this pin needs.
 * Binaries named by their variable (KUBE_APISERVER_BIN …) or found in KUBEBUILDER_ASSETS are used instead of built.
 *
 * With a minor version of Kubernetes as argument (`1.34`) it builds that version's API server, controller manager and
 * scheduler instead (tools/kubernetes-versions/<minor>) and links them in `.cache/kubernetes-<minor>`.
 */
import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  accessSync,
  constants,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

interface Binary {
  readonly module: string;
  readonly package: string;
  readonly version: string;
  /** Environment variable that names a binary to use instead. */
  readonly variable: string;
  readonly why: string;
  readonly ldflags: string;
  /** Data files of the module to put beside the binary: name -> parts, joined as YAML documents. */
  readonly files?: Readonly<Record<string, readonly string[]>>;
}

const GO_MINIMUM = [1, 26] as const;
const PROGRESS_EVERY_MS = 15_000;

const tools = import.meta.dirname;
const root = resolve(tools, '..');
const minor = process.argv[2];
const links = join(root, '.cache', minor === undefined ? 'bin' : `kubernetes-${minor}`);

const say = (text: string): void => void process.stderr.write(`tools: ${text}\n`);

function fail(text: string): never {
  say(text);
  process.exit(1);
}

function cacheFolder(): string {
  const { SHARD_CONTROLLER_CACHE, XDG_CACHE_HOME, HOME } = process.env;
  if (SHARD_CONTROLLER_CACHE) return resolve(SHARD_CONTROLLER_CACHE);
  if (XDG_CACHE_HOME) return join(XDG_CACHE_HOME, 'shard-controller');
  return join(HOME || homedir() || tmpdir(), '.cache', 'shard-controller');
}

function pinOf(name: string, binary: Binary): string {
  const hash = createHash('sha256');
  for (const file of ['go.mod', 'go.sum']) hash.update(readFileSync(join(tools, binary.module, file)));
  // A package of our own is not pinned by the module files.
  if (binary.package.startsWith('./')) {
    const folder = join(tools, binary.module, binary.package);
    for (const file of readdirSync(folder).toSorted()) hash.update(readFileSync(join(folder, file)));
  }
  hash.update(JSON.stringify([name, binary.package, binary.ldflags, binary.files, process.arch]));
  return hash.digest('hex').slice(0, 12);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** A binary that the user gave, or undefined. A variable that names nothing runnable is an error, not a fallback. */
function given(name: string, binary: Binary): string | undefined {
  const named = process.env[binary.variable];
  if (named) {
    if (!isExecutable(named)) fail(`${binary.variable}=${named} is not an executable file: correct it or unset it`);
    return resolve(named);
  }
  const assets = process.env['KUBEBUILDER_ASSETS'];
  const asset = assets ? join(assets, name) : undefined;
  return asset && isExecutable(asset) ? resolve(asset) : undefined;
}

function checkGo(): void {
  let text: string;
  try {
    text = execFileSync('go', ['env', 'GOVERSION'], { encoding: 'utf8' }).trim();
  } catch {
    fail(`go is missing: install Go ${GO_MINIMUM.join('.')} or newer (go.dev/dl or your package manager)`);
  }
  const [major = 0, minor = 0] = text.replace(/^go/, '').split('.').map(Number);
  if (major < GO_MINIMUM[0] || (major === GO_MINIMUM[0] && minor < GO_MINIMUM[1])) {
    fail(`${text} is too old, ${GO_MINIMUM.join('.')} or newer is needed: see go.dev/dl`);
  }
}

const seconds = (since: number): string => `${Math.round((performance.now() - since) / 1000)} s`;

const goEnvironment = { ...process.env, CGO_ENABLED: '0', GOFLAGS: '-mod=readonly -buildvcs=false', GOWORK: 'off' };

async function build(name: string, binary: Binary, folder: string): Promise<void> {
  mkdirSync(resolve(folder, '..'), { recursive: true });
  const scratch = mkdtempSync(`${folder}.building-`);
  const started = performance.now();
  const progress = setInterval(
    () => say(`  ${name} ${binary.version}: still building, ${seconds(started)}`),
    PROGRESS_EVERY_MS,
  );
  const child = spawn(
    'go',
    ['build', '-trimpath', '-ldflags', binary.ldflags, '-o', join(scratch, name), binary.package],
    { cwd: join(tools, binary.module), env: goEnvironment, stdio: ['ignore', 'ignore', 'pipe'] },
  );
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors = (errors + text).slice(-4000);
  });
  const stop = (): void => {
    child.kill('SIGTERM');
    rmSync(scratch, { recursive: true, force: true });
    say(`interrupted while building ${name}; the same command goes on from here`);
    process.exit(130);
  };
  process.once('SIGINT', stop).once('SIGTERM', stop);
  const code = await new Promise<number | null>((done) => child.once('close', done));
  process.removeListener('SIGINT', stop).removeListener('SIGTERM', stop);
  clearInterval(progress);
  if (code !== 0) {
    rmSync(scratch, { recursive: true, force: true });
    fail(
      `go build of ${name} ${binary.version} failed. Is the Go module proxy reachable (go env GOPROXY), is there 6 GB of ` +
        `free disk? Or name a ready binary by ${binary.variable}. Go said:\n${errors}`,
    );
  }
  copyFiles(binary, scratch);
  if (existsSync(folder)) rmSync(scratch, { recursive: true, force: true });
  else renameSync(scratch, folder);
  say(`  ${name} ${binary.version}: built in ${seconds(started)}`);
}

function copyFiles(binary: Binary, folder: string): void {
  const entries = Object.entries(binary.files ?? {});
  if (entries.length === 0) return;
  const cwd = join(tools, binary.module);
  const modulePath = binary.package.replace(/\/cmd\/.*$/, '');
  const source = execFileSync('go', ['list', '-m', '-f', '{{.Dir}}', modulePath], {
    cwd,
    env: goEnvironment,
    encoding: 'utf8',
  }).trim();
  for (const [file, parts] of entries) {
    const text = parts.map((part) => readFileSync(join(source, part), 'utf8').trim()).join('\n---\n');
    writeFileSync(join(folder, file), `${text}\n`);
  }
}

type Binaries = Readonly<Record<string, Binary>>;

const CONTROL_PLANE = ['kube-apiserver', 'kube-controller-manager', 'kube-scheduler'] as const;

/** The control plane of another version, which says in its module file which one exactly. */
function controlPlane(of: string, pinned: Binaries): Binaries {
  const versions = readdirSync(join(tools, 'kubernetes-versions')).toSorted();
  if (!versions.includes(of)) fail(`Kubernetes ${of} is not pinned here: choose from ${versions.join(', ')}`);
  const module = join('kubernetes-versions', of);
  const version = /^\tk8s\.io\/kubernetes (v\S+)/m.exec(readFileSync(join(tools, module, 'go.mod'), 'utf8'))?.[1];
  if (version === undefined) fail(`tools/${module}/go.mod does not require k8s.io/kubernetes`);
  const parts = CONTROL_PLANE.map((name): [string, Binary][] => {
    const binary = pinned[name];
    if (binary === undefined) return [];
    const gitMinor = of.slice(of.indexOf('.') + 1);
    const ldflags = binary.ldflags
      .replace(/gitVersion=\S+/, `gitVersion=${version}`)
      .replace(/gitMinor=\S+/, `gitMinor=${gitMinor}`);
    return [[name, { ...binary, module, version, ldflags }]];
  });
  return Object.fromEntries(parts.flat());
}

const pinned: Binaries = JSON.parse(readFileSync(join(tools, 'binaries.json'), 'utf8'));
const binaries = minor === undefined ? pinned : controlPlane(minor, pinned);
const cache = cacheFolder();
mkdirSync(links, { recursive: true });

const missing: [string, Binary, string][] = [];

/** Points `.cache/bin/<name>` at `file`; left alone when it already does, since others may be using it. */
function link(file: string, name: string): void {
  const at = join(links, name);
  if (lstatSync(at, { throwIfNoEntry: false })?.isSymbolicLink() && readlinkSync(at) === file) return;
  rmSync(at, { force: true });
  symlinkSync(file, at);
}

const folderOf = (name: string, binary: Binary): string =>
  join(cache, name, `${binary.version}-${pinOf(name, binary)}`);

for (const [name, binary] of Object.entries(binaries)) {
  const folder = folderOf(name, binary);
  const own = minor === undefined ? given(name, binary) : undefined;
  if (own) say(`using ${own} as ${name}`);
  // The data files come with the module, so a binary of the user's still needs the folder when there are some.
  if (own && !binary.files) continue;
  if (!isExecutable(join(folder, name))) missing.push([name, binary, folder]);
}

if (missing.length > 0) {
  checkGo();
  say(
    `building ${missing.length} of ${Object.keys(binaries).length} parts from source with Go, once; two cores need about ${minor === undefined ? 15 : 5} minutes for all:`,
  );
  for (const [name, binary] of missing) say(`  ${name} ${binary.version}: ${binary.why}`);
  say(`they are kept in ${cache} until their pin changes`);
  const started = performance.now();
  for (const [name, binary, folder] of missing) await build(name, binary, folder);
  say(`all parts built in ${seconds(started)}`);
}
for (const [name, binary] of Object.entries(binaries)) {
  const folder = folderOf(name, binary);
  link((minor === undefined ? given(name, binary) : undefined) ?? join(folder, name), name);
  for (const file of Object.keys(binary.files ?? {})) link(join(folder, file), file);
}
