import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Texts of the product's own sources, without tests and their fixtures, by path below the repository's root. */
export function productSources(root: string): ReadonlyMap<string, string> {
  const paths = readdirSync(join(root, 'packages')).flatMap((name) =>
    readdirSync(join(root, 'packages', name, 'src'), { recursive: true, encoding: 'utf8' })
      .map((path) => `packages/${name}/src/${path}`)
      .filter((path) => path.endsWith('.ts') && !path.endsWith('.test.ts') && !path.includes('/testing/')),
  );
  return new Map(paths.sort().map((path) => [path, readFileSync(join(root, path), 'utf8')]));
}
