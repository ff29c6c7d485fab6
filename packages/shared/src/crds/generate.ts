/**
 * Writes what is generated from the schemas: the CRDs in `crds/` and their reference page. With `--check` it writes
 * nothing, names each file that differs, and ends with exit code 1 if there is one.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { generatedFiles } from './crds.ts';

const root = join(import.meta.dirname, '../../../..');

function current(file: string): string | undefined {
  try {
    return readFileSync(join(root, file), 'utf8');
  } catch {
    return undefined;
  }
}

/** CRDs of resources that are no more. */
function leftOvers(wanted: ReadonlyMap<string, string>): readonly string[] {
  mkdirSync(join(root, 'crds'), { recursive: true });
  return readdirSync(join(root, 'crds'))
    .filter((name) => name.endsWith('.yaml'))
    .map((name) => `crds/${name}`)
    .filter((file) => !wanted.has(file));
}

function write(file: string, content: string | undefined): void {
  const path = join(root, file);
  if (content === undefined) {
    rmSync(path);
  } else {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
  }
  console.log(`${content === undefined ? 'removed' : 'written'}: ${file}`);
}

const { values } = parseArgs({ options: { check: { type: 'boolean', default: false } } });
const wanted = generatedFiles();
for (const file of [...wanted.keys(), ...leftOvers(wanted)]) {
  const content = wanted.get(file);
  if (current(file) === content) continue;
  if (values.check) {
    console.error(`${file} is stale: run \`pnpm gen\``);
    process.exitCode = 1;
  } else {
    write(file, content);
  }
}
