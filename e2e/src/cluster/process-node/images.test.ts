import { describe, expect, it } from 'vitest';
import { findProgram, productImages, repositoryOf } from './images.ts';

describe('an image', () => {
  it.for([
    ['shard-controller-worker', 'shard-controller-worker'],
    ['shard-controller-worker:1.2', 'shard-controller-worker'],
    ['host:5000/a/b', 'host:5000/a/b'],
    ['host:5000/a/b:tag@sha256:abc', 'host:5000/a/b'],
  ] as const)('%s is of the repository %s', ([image, repository]) => {
    expect(repositoryOf(image)).toBe(repository);
  });

  it('of ours runs from the sources, whatever its tag', () => {
    const program = findProgram(productImages, 'shard-controller-worker:any');
    expect(program?.entrypoint.at(-1)).toMatch(/packages\/worker\/src\/main\.ts$/);
  });

  it('that nobody named has no program', () => {
    expect(findProgram(productImages, 'example.com/other:1')).toBeUndefined();
  });
});
