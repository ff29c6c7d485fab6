import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BinaryMissingError, resolveBinaries, resolveBinary, resolveKwokStages } from './binaries.ts';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'binaries-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function executable(name: string): string {
  const file = join(folder, name);
  writeFileSync(file, '');
  chmodSync(file, 0o755);
  return file;
}

describe('a binary', () => {
  it('named by its own variable wins over the folder', () => {
    const named = executable('my-etcd');
    executable('etcd');
    expect(resolveBinary('etcd', { ETCD_BIN: named, SHARD_CONTROLLER_BIN_DIR: folder })).toBe(named);
  });

  it('is found in either folder', () => {
    const etcd = executable('etcd');
    expect(resolveBinary('etcd', { SHARD_CONTROLLER_BIN_DIR: folder })).toBe(etcd);
    expect(resolveBinary('etcd', { KUBEBUILDER_ASSETS: folder })).toBe(etcd);
  });

  it('named wrongly is an error even if the folder has one', () => {
    executable('etcd');
    const env = { ETCD_BIN: '/nowhere/etcd', SHARD_CONTROLLER_BIN_DIR: folder };
    expect(() => resolveBinary('etcd', env)).toThrow('ETCD_BIN=/nowhere/etcd is not an executable file');
  });

  it('that is only a readable file is not taken', () => {
    writeFileSync(join(folder, 'etcd'), '');
    expect(() => resolveBinary('etcd', { SHARD_CONTROLLER_BIN_DIR: folder })).toThrow(BinaryMissingError);
  });

  it('that is missing is named with all the others and with the remedy', () => {
    executable('kwok');
    const attempt = (): unknown =>
      resolveBinaries(['kwok', 'etcd', 'nats-server'], { SHARD_CONTROLLER_BIN_DIR: folder });
    expect(attempt).toThrow(/etcd was not found.*make tools.*ETCD_BIN[^]*nats-server was not found.*NATS_SERVER_BIN/);
    expect(attempt).not.toThrow(/kwok/);
  });

  it('of kwok has its stages beside it', () => {
    expect(() => resolveKwokStages({ SHARD_CONTROLLER_BIN_DIR: folder })).toThrow(/kwok-stages\.yaml.*KWOK_STAGES/);
    writeFileSync(join(folder, 'kwok-stages.yaml'), '');
    expect(resolveKwokStages({ SHARD_CONTROLLER_BIN_DIR: folder })).toBe(join(folder, 'kwok-stages.yaml'));
  });
});
