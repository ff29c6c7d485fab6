/**
 * Writes the CRDs into `crds/`. With `--check` it writes nothing, names each file that differs from the schemas, and
 * ends with exit code 1 if there is one.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { parseArgs } from 'node:util';
import { crdFiles } from './crds.ts';

const root = join(import.meta.dirname, '../../../..');
const folder = join(root, 'crds');

function current(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

const { values } = parseArgs({ options: { check: { type: 'boolean', default: false } } });
const wanted = crdFiles();
mkdirSync(folder, { recursive: true });
const left = readdirSync(folder).filter((name) => name.endsWith('.yaml') && !wanted.has(name));
let stale = 0;
for (const name of [...wanted.keys(), ...left]) {
  const file = join(folder, name);
  const content = wanted.get(name);
  if (current(file) === content) continue;
  stale += 1;
  if (values.check) console.error(`${relative(root, file)} is stale: run \`pnpm gen\``);
  else if (content === undefined) rmSync(file);
  else writeFileSync(file, content);
  if (!values.check) console.log(`${content === undefined ? 'removed' : 'written'}: ${relative(root, file)}`);
}
if (values.check && stale > 0) process.exitCode = 1;
