import { expect, test } from 'vitest';
import { type ImportGraph, importsOf, roomProblems } from './rooms.ts';

const ROOMS = { low: 'what others stand on', 'high/inner': 'what stands on it', '.': 'the rest' };

/** A package that is in order, with these files besides. */
const house = (files: Readonly<Record<string, readonly string[]>> = {}): ImportGraph =>
  new Map(
    Object.entries({
      'low/index.ts': ['low/floor.ts'],
      'low/floor.ts': [],
      'high/inner/index.ts': ['high/inner/roof.ts'],
      'high/inner/roof.ts': ['low/index.ts'],
      'main.ts': ['high/inner/index.ts', 'low/index.ts'],
      ...files,
    }),
  );

test('imports of lower rooms through their doors are in order', () => {
  expect(roomProblems(ROOMS, house())).toEqual([]);
});

test('a circle is named file by file, type-only imports too', () => {
  const text = "import type { B } from './b.ts';\n";
  const circle = { 'low/a.ts': importsOf('low/a.ts', text), 'low/b.ts': ['low/a.ts'] };
  expect(roomProblems(ROOMS, house(circle))).toEqual(['circle: low/a.ts -> low/b.ts -> low/a.ts']);
});

test('an import past the door of another room is found', () => {
  expect(roomProblems(ROOMS, house({ 'high/inner/wall.ts': ['low/floor.ts'] }))).toEqual([
    'high/inner/wall.ts imports low/floor.ts: past the door of low',
  ]);
});

test('an arrow up is found, through a door or past it', () => {
  const files = { 'low/stairs.ts': ['high/inner/index.ts'], 'low/ladder.ts': ['main.ts'] };
  expect(roomProblems(ROOMS, house(files))).toEqual([
    'low/stairs.ts imports high/inner/index.ts: up, from low to high/inner',
    'low/ladder.ts imports main.ts: up, from low to .',
  ]);
});

test('tests pass doors downwards and use the fixtures of any room, and nothing else does', () => {
  const tests = {
    'high/inner/roof.test.ts': ['low/floor.ts', 'high/inner/testing/tiles.ts'],
    'low/floor.test.ts': ['high/inner/testing/tiles.ts'],
    'high/inner/testing/tiles.ts': ['high/inner/roof.ts'],
  };
  expect(roomProblems(ROOMS, house(tests))).toEqual([]);
  expect(roomProblems(ROOMS, house({ 'low/door.test.ts': ['high/inner/index.ts'] }))).toHaveLength(1);
  expect(roomProblems(ROOMS, house({ ...tests, 'main.ts': ['high/inner/testing/tiles.ts'] }))).toEqual([
    'main.ts imports high/inner/testing/tiles.ts: test code',
  ]);
});

test('a room without a file and a file without a room are found', () => {
  expect(roomProblems({ ...ROOMS, attic: 'nothing' }, house())).toEqual(['attic: a room without a file']);
  expect(roomProblems({ low: 'floor' }, house())).toContain('main.ts: lies in no room');
});

test('a file that is a room of its own is its own door', () => {
  const files = { 'name.ts': [], 'low/sign.ts': ['name.ts'] };
  expect(roomProblems({ 'name.ts': 'a name', ...ROOMS }, house(files))).toEqual([]);
});

test.each([
  ["import { a } from './a.ts';", 'low/a.ts'],
  ["import {\n  type A,\n} from '../a.ts';", 'a.ts'],
  ["export type { A } from './x/index.ts';", 'low/x/index.ts'],
  ["import './a.ts';", 'low/a.ts'],
  ["const a = await import('./a.ts');", 'low/a.ts'],
  ["type A = import('./a.ts').A;", 'low/a.ts'],
])('reads %s', (text, target) => {
  expect(importsOf('low/b.ts', text)).toEqual([target]);
});
