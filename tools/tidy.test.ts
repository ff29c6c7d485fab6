import { globSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '..');
const NOT_OURS = ['**/node_modules/**', '**/dist/**', '.cache/**'];

const MARKDOWN = globSync(['**/*.md', '.github/**/*.md'], { cwd: ROOT, exclude: NOT_OURS }).map(normalize).sort();
const SOURCES = globSync('{packages/*/src,e2e/src,helm/src,tools}/**/*.ts', { cwd: ROOT, exclude: NOT_OURS })
  .map(normalize)
  // This file names what it forbids.
  .filter((path) => path !== 'tools/tidy.test.ts');

interface Rule {
  readonly pattern: RegExp;
  /** What to write instead. */
  readonly instead: string;
  /** Lines that the rule must find, so that a pattern that finds nothing is noticed. */
  readonly wrong: readonly string[];
}

/** Words that a reader stumbles over, in Markdown, comments and messages. */
const WORDS: readonly Rule[] = [
  { pattern: /\banew\b/i, instead: '"again" or "re-created"', wrong: ['it lists anew'] },
  { pattern: /\b(stood|stands?|standing) still\b/i, instead: '"stalled" or "unchanged"', wrong: ['it stood still'] },
  { pattern: /\bshall\b/i, instead: '"must", "has to" or the present tense', wrong: ['it shall end'] },
  { pattern: /\blooked at\b/i, instead: '"read", "checked" or "compared"', wrong: ['it is looked at'] },
  {
    pattern: /\bgarbage (messages?|events?|heartbeats?|assignments?)\b/i,
    instead: '"invalid"',
    wrong: ['a garbage message'],
  },
];

/** Words that only pages have to avoid. */
const WORDS_OF_PAGES: readonly Rule[] = [
  { pattern: /\b(some|no)body\b|\bwhoever\b/i, instead: 'the noun: "a client", "no shard"', wrong: ['nobody serves'] },
  { pattern: /\b(is|are|was|were|be) told\b/i, instead: 'who sends it: "the manager assigns"', wrong: ['it is told'] },
  { pattern: /\b(go|goes|going|went) on\b/i, instead: '"continues" or "keeps serving"', wrong: ['it goes on'] },
  { pattern: /\bunder way\b/i, instead: '"in progress"', wrong: ['a move is under way'] },
  { pattern: /\b(get|gets|got) on with\b|\bgets on\b/i, instead: '"makes progress"', wrong: ['it gets on with it'] },
  { pattern: /\bdoubled series\b/i, instead: '"duplicate series"', wrong: ['doubled series'] },
  { pattern: /\brights\b/i, instead: '"permissions"', wrong: ['it has no rights'] },
];

/** What has no place in a source file. */
const CLUTTER: readonly Rule[] = [
  { pattern: /\b(TODO|FIXME)\b/, instead: 'the code, or an issue', wrong: ['// TODO: later'] },
  {
    pattern: /^\s*(\/\/|\*|#)\s*[-=*#~_]{3,}/,
    instead: 'a file or a class of its own',
    wrong: ['  // ---- lists ----'],
  },
  {
    pattern: /(^|[\s"'`(=:])\/(work|Users)\/\w|\/home\/(?!nonroot)\w/,
    instead: 'a path within the repository',
    wrong: ['see /work/notes', '/home/me'],
  },
];

const lines = (path: string): readonly string[] => readFileSync(join(ROOT, path), 'utf8').split('\n');

function found(paths: readonly string[], rules: readonly Rule[]): readonly string[] {
  return paths.flatMap((path) =>
    lines(path).flatMap((text, i) =>
      rules
        .filter(({ pattern }) => pattern.test(text))
        .map(({ pattern, instead }) => `${path}:${i + 1}: "${pattern.exec(text)?.[0].trim()}": write ${instead}`),
    ),
  );
}

test('every rule finds what it forbids', () => {
  for (const { pattern, wrong } of [...WORDS, ...WORDS_OF_PAGES, ...CLUTTER])
    for (const text of wrong) expect(text).toMatch(pattern);
  expect(MARKDOWN.length).toBeGreaterThan(40);
  expect(SOURCES.length).toBeGreaterThan(400);
});

test('sources have plain words, and no clutter', () => {
  expect(found(SOURCES, [...WORDS, ...CLUTTER])).toEqual([]);
});

test('pages have plain words', () => {
  expect(found(MARKDOWN, [...WORDS, ...WORDS_OF_PAGES, ...CLUTTER])).toEqual([]);
});

const MAX_COLUMNS = 200;

test(`no line of a page is wider than ${MAX_COLUMNS} columns, tables, code and generated pages aside`, () => {
  const wide = MARKDOWN.flatMap((path) => {
    const page = lines(path);
    if (page[0]?.startsWith('<!-- Generated') === true) return [];
    let isCode = false;
    return page.flatMap((text, i) => {
      if (text.startsWith('```')) isCode = !isCode;
      return isCode || text.startsWith('|') || text.length <= MAX_COLUMNS ? [] : [`${path}:${i + 1}: ${text.length}`];
    });
  });
  expect(wide).toEqual([]);
});

/** The anchor that GitHub gives a heading. */
const anchor = (heading: string): string =>
  heading
    .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
    .trim()
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\p{M}\- _]/gu, '')
    .replaceAll(' ', '-');

function anchors(path: string): ReadonlySet<string> {
  let isCode = false;
  const headings = lines(path).flatMap((text) => {
    if (text.startsWith('```')) isCode = !isCode;
    const heading = isCode ? undefined : /^#{1,6} (.*)$/.exec(text)?.[1];
    return heading === undefined ? [] : [anchor(heading)];
  });
  return new Set(headings);
}

test('links between pages lead to files and headings that exist', () => {
  const files = new Set(globSync('**', { cwd: ROOT, exclude: NOT_OURS }).map(normalize));
  let links = 0;
  const broken = MARKDOWN.flatMap((path) =>
    lines(path).flatMap((text, i) =>
      Array.from(text.replace(/`[^`]*`/g, '').matchAll(/\]\(([^)\s]+)\)/g)).flatMap(([, to = '']) => {
        if (/^[a-z]+:/.test(to)) return [];
        links++;
        const [file = '', heading] = to.split('#');
        const target = file === '' ? path : normalize(join(dirname(path), file)).replace(/\/$/, '');
        const exists = files.has(target) && (heading === undefined || anchors(target).has(heading));
        return exists ? [] : [`${path}:${i + 1}: ${to}`];
      }),
    ),
  );
  expect(links).toBeGreaterThan(50);
  expect(broken).toEqual([]);
});

const DECISIONS = 'docs/decisions';

test('every decision has a number, a date and a status, and stands in the index with its title', () => {
  const paths = MARKDOWN.filter((path) => new RegExp(`^${DECISIONS}/\\d{3}-[a-z0-9-]+\\.md$`).test(path));
  const index = lines(`${DECISIONS}/README.md`);
  const rows = index.filter((text) => /^\| \[\d+\]/.test(text));
  expect(paths.map((path) => Number(path.slice(DECISIONS.length + 1, DECISIONS.length + 4)))).toEqual(
    paths.map((_, i) => i + 1),
  );
  expect(rows).toHaveLength(paths.length);
  for (const [i, path] of paths.entries()) {
    const [title = '', , date = '', status = ''] = lines(path);
    expect.soft(title, path).toMatch(new RegExp(`^# ${i + 1}\\. \\S`));
    expect.soft(date, path).toMatch(/^- Date: \d{4}-\d{2}-\d{2}$/);
    expect.soft(status, path).toMatch(/^- Status: (proposed|accepted|superseded by \[\d+\])/);
    const name = title.replace(/^# \d+\. /, '');
    const state = /(proposed|accepted|superseded)/.exec(status)?.[0];
    expect.soft(rows[i], path).toContain(`| [${i + 1}](${path.slice(DECISIONS.length + 1)}) | ${name} | `);
    expect.soft(rows[i], path).toMatch(new RegExp(`\\| ${state}[^|]*\\|$`));
  }
});
