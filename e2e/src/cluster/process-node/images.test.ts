import { afterEach, describe, expect, it, vi } from 'vitest';
import { findProgram, productImages, repositoryOf } from './images.ts';

afterEach(() => {
  vi.unstubAllEnvs();
});

describe('an image', () => {
  it.for([
    ['shard-controller-worker', 'shard-controller-worker'],
    ['shard-controller-worker:1.2', 'shard-controller-worker'],
    ['host:5000/a/b', 'host:5000/a/b'],
    ['host:5000/a/b:tag@sha256:abc', 'host:5000/a/b'],
  ] as const)('%s is of the repository %s', ([image, repository]) => {
    expect(repositoryOf(image)).toBe(repository);
  });

  it.for([
    ['from the sources', undefined, /packages\/worker\/src\/main\.ts$/],
    ['compiled where the harness was started with a build', 'dist', /packages\/worker\/dist\/bundle\.js$/],
  ] as const)('of ours runs %s, whatever its tag', ([, programs, main]) => {
    vi.stubEnv('SHARD_CONTROLLER_PROGRAMS', programs);
    expect(findProgram(productImages, 'shard-controller-worker:any')?.entrypoint.at(-1)).toMatch(main);
  });

  it('that nobody named has no program', () => {
    expect(findProgram(productImages, 'example.com/other:1')).toBeUndefined();
  });
});
