import { dirname, join } from 'node:path/posix';

/** The rooms of a package, lowest first, each with what it holds. `.` is what lies in no other room. */
export type Rooms = Readonly<Record<string, string>>;

/** Files of a package by their path below `src`, each with the paths that it imports. */
export type ImportGraph = ReadonlyMap<string, readonly string[]>;

/** Relative imports of a source text, type-only ones too, as the formatter writes them. */
export function importsOf(path: string, text: string): string[] {
  const found = text.matchAll(/\b(?:from|import) ?\(?'(\.[^']*)'/g);
  return [...found].map(([, target = '']) => join(dirname(path), target));
}

/**
 * What breaks the order of a package: a circle of files, an import past another room's `index.ts`, one of a higher room,
 * one of test code. A test may open any file of its own room and of those below, and the `testing` folder of any.
 */
export function roomProblems(rooms: Rooms, graph: ImportGraph): string[] {
  const names = Object.keys(rooms);
  const rank = new Map(names.map((name, at) => [name, at]));
  const places = new Map([...graph.keys()].map((path) => [path, placeOf(path, names)]));
  const empty = names.filter((name) => ![...places.values()].some(({ room }) => room === name));
  const problems = empty.map((name) => `${name}: a room without a file`);
  for (const [path, { room }] of places) if (room === undefined) problems.push(`${path}: lies in no room`);
  for (const [path, targets] of graph) {
    const from = places.get(path);
    for (const target of targets) {
      const to = places.get(target);
      if (from?.room === undefined || to?.room === undefined) continue;
      const arrow = `${path} imports ${target}`;
      if (to.isFixture && from.isTest) continue;
      if (to.isTest && !from.isTest) problems.push(`${arrow}: test code`);
      else if ((rank.get(to.room) ?? 0) > (rank.get(from.room) ?? 0)) {
        problems.push(`${arrow}: up, from ${from.room} to ${to.room}`);
      } else if (from.room !== to.room && !from.isTest && !isDoor(target, to.room)) {
        problems.push(`${arrow}: past the door of ${to.room}`);
      }
    }
  }
  return [...problems, ...circlesOf(graph).map((circle) => `circle: ${circle.join(' -> ')}`)];
}

interface Place {
  readonly room: string | undefined;
  readonly isTest: boolean;
  /** What tests of several rooms share. */
  readonly isFixture: boolean;
}

function placeOf(path: string, names: readonly string[]): Place {
  const within = names.filter((name) => path === name || path.startsWith(`${name}/`));
  const room = within.sort((a, b) => b.length - a.length)[0] ?? names.find((name) => name === '.');
  const isFixture = `/${path}`.includes('/testing/');
  return { room, isFixture, isTest: isFixture || path.endsWith('.test.ts') };
}

/** A room that is one file is its own door. */
function isDoor(path: string, room: string): boolean {
  return path === room || path === join(room, 'index.ts');
}

/** One circle of each group of files that import each other; the first file is repeated at its end. */
function circlesOf(graph: ImportGraph): string[][] {
  const circles: string[][] = [];
  const done = new Set<string>();
  const trail: string[] = [];
  const visit = (path: string): void => {
    const at = trail.indexOf(path);
    if (at >= 0) circles.push([...trail.slice(at), path]);
    if (at >= 0 || done.has(path)) return;
    trail.push(path);
    for (const target of graph.get(path) ?? []) visit(target);
    trail.pop();
    done.add(path);
  };
  for (const path of graph.keys()) visit(path);
  return circles;
}
