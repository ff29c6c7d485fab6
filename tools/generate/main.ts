/**
 * Writes what is generated from the code: CRDs, the chart's part of them with its values, references, diagrams. With `--check` it writes nothing, names each file that differs, and ends with exit code 1 if there is one.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { generatedFiles as chartFiles } from '../../helm/src/generated-files.ts';
import { standardTables } from '../../packages/manager/src/decision/index.ts';
import { generatedFiles as definitionFiles } from '../../packages/shared/src/crds/index.ts';
import { errorCatalogue, errorReference } from './error-catalogue.ts';
import { productSources } from './product-sources.ts';
import { stateMachinesPage } from './state-diagram.ts';

const root = join(import.meta.dirname, '../..');

/** Folders that hold nothing but generated files: what else is there is of resources that are no more. */
const GENERATED_FOLDERS = ['crds', 'helm/shard-controller/templates/crds'];

function current(file: string): string | undefined {
  try {
    return readFileSync(join(root, file), 'utf8');
  } catch {
    return undefined;
  }
}

function leftOvers(wanted: ReadonlyMap<string, string>): readonly string[] {
  return GENERATED_FOLDERS.flatMap((folder) => {
    mkdirSync(join(root, folder), { recursive: true });
    return readdirSync(join(root, folder)).map((name) => `${folder}/${name}`);
  }).filter((file) => !wanted.has(file));
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
const wanted = new Map([
  ...definitionFiles(),
  ...chartFiles(),
  ['docs/reference/errors.md', errorReference(errorCatalogue(productSources(root)))],
  ['docs/internals/state-machines.md', stateMachinesPage(Object.values(standardTables).map(({ config }) => config))],
]);
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
