import { createHash } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

/** What a container of an image runs, as in the OCI image specification (`config`). */
interface ImageConfig {
  /** `65532:65532`; numeric, so that a kubelet can tell that it is not root. */
  readonly user: string;
  readonly entrypoint: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly workingDirectory: string;
  readonly ports: readonly number[];
  readonly labels: Readonly<Record<string, string>>;
}

export interface Image {
  /** `shard-controller-worker:0.1.0`; what `docker load` and `ctr images import` call it. */
  readonly reference: string;
  /** As Go calls it: `amd64`, `arm64`. */
  readonly architecture: string;
  /** Lowest first. */
  readonly layers: readonly Layer[];
  readonly config: ImageConfig;
  /** Time that everything in the image carries, s since the epoch: the same input gives the same digest. */
  readonly epoch: number;
}

/** The content of one folder, packed. */
export interface Layer {
  readonly packed: Buffer;
  /** Digest of the tar within. */
  readonly diffId: string;
  readonly unpackedBytes: number;
}

export interface WrittenImage {
  /** Digest of the manifest. */
  readonly digest: string;
  /** Sum of the layers, packed, bytes: what a node pulls. */
  readonly packedBytes: number;
  /** Sum of the layers, unpacked, bytes. */
  readonly unpackedBytes: number;
}

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

const OCI = 'application/vnd.oci.image';

const digestOf = (bytes: Uint8Array): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

/** One tar of a folder: sorted names, one time, root as the owner, nothing of this machine. */
function packFolder(folder: string, epoch: number): Buffer {
  const steady = ['--sort=name', `--mtime=@${epoch}`, '--owner=0', '--group=0', '--numeric-owner', '--format=ustar'];
  return execFileSync('tar', [...steady, '-C', folder, '-cf', '-', '.'], { maxBuffer: 2 ** 30 });
}

/** The same folder and time give the same bytes. */
export function packLayer(folder: string, epoch: number): Layer {
  const tar = packFolder(folder, epoch);
  return { packed: gzipSync(tar), diffId: digestOf(tar), unpackedBytes: tar.length };
}

/**
 * Writes an image as an archive in the OCI image layout (also readable by `docker load`): no container engine is needed.
 * Layout and media types: github.com/opencontainers/image-spec, image-layout.md and manifest.md.
 *
 * @throws Error when a folder cannot be packed or the archive cannot be written
 */
export function writeOciArchive(image: Image, path: string): WrittenImage {
  const layout = mkdtempSync(join(tmpdir(), 'shard-controller-image-'));
  try {
    mkdirSync(join(layout, 'blobs', 'sha256'), { recursive: true });
    const blob = (mediaType: string, bytes: Uint8Array): Descriptor => {
      const digest = digestOf(bytes);
      writeFileSync(join(layout, 'blobs', 'sha256', digest.slice('sha256:'.length)), bytes);
      return { mediaType, digest, size: bytes.length };
    };
    const json = (mediaType: string, value: unknown): Descriptor => blob(mediaType, Buffer.from(JSON.stringify(value)));
    const layers = image.layers.map(({ packed }) => blob(`${OCI}.layer.v1.tar+gzip`, packed));
    const config = json(`${OCI}.config.v1+json`, configOf(image));
    const manifest = json(`${OCI}.manifest.v1+json`, {
      schemaVersion: 2,
      mediaType: `${OCI}.manifest.v1+json`,
      config,
      layers,
      annotations: image.config.labels,
    });
    const name = { 'io.containerd.image.name': image.reference, 'org.opencontainers.image.ref.name': image.reference };
    const index = {
      schemaVersion: 2,
      mediaType: `${OCI}.index.v1+json`,
      manifests: [{ ...manifest, annotations: name }],
    };
    writeFileSync(join(layout, 'index.json'), JSON.stringify(index));
    writeFileSync(join(layout, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
    // What `docker load` of engines without the containerd image store reads.
    const file = ({ digest }: Descriptor): string => `blobs/sha256/${digest.slice('sha256:'.length)}`;
    const docker = [{ Config: file(config), RepoTags: [image.reference], Layers: layers.map(file) }];
    writeFileSync(join(layout, 'manifest.json'), JSON.stringify(docker));
    writeFileSync(path, packFolder(layout, image.epoch));
    const sum = (sizes: readonly number[]): number => sizes.reduce((total, size) => total + size, 0);
    return {
      digest: manifest.digest,
      packedBytes: sum(layers.map(({ size }) => size)),
      unpackedBytes: sum(image.layers.map(({ unpackedBytes }) => unpackedBytes)),
    };
  } finally {
    rmSync(layout, { recursive: true, force: true });
  }
}

function configOf({ architecture, config, epoch, layers }: Image): unknown {
  const created = new Date(epoch * 1000).toISOString();
  return {
    created,
    architecture,
    os: 'linux',
    config: {
      User: config.user,
      Env: Object.entries(config.environment).map(([name, value]) => `${name}=${value}`),
      Entrypoint: config.entrypoint,
      WorkingDir: config.workingDirectory,
      ExposedPorts: Object.fromEntries(config.ports.map((port) => [`${port}/tcp`, {}])),
      Labels: config.labels,
    },
    rootfs: { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) },
    history: layers.map(() => ({ created, created_by: 'shard-controller tools/images' })),
  };
}
