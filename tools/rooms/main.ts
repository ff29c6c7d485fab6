import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ImportGraph, importsOf, roomProblems, type Rooms } from './rooms.ts';

/** Checks each package's imports against its `rooms.json`. */
const packages = join(import.meta.dirname, '../../packages');
let failed = 0;
for (const name of readdirSync(packages)) {
  const rooms = JSON.parse(readFileSync(join(packages, name, 'rooms.json'), 'utf8')) as Rooms;
  for (const problem of roomProblems(rooms, graphOf(join(packages, name, 'src')))) {
    console.error(`packages/${name}/src: ${problem}`);
    failed++;
  }
}
process.exitCode = failed === 0 ? 0 : 1;

function graphOf(folder: string): ImportGraph {
  const paths = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.ts'));
  return new Map(paths.map((path) => [path, importsOf(path, readFileSync(join(folder, path), 'utf8'))]));
}
