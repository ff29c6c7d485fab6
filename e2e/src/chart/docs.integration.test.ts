import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { CHART, helm, KUBERNETES, render } from './render.ts';

/** What docs/install.md tells people to type. */
const ROOT = join(CHART, '..', '..');
const page = readFileSync(join(ROOT, 'docs/install.md'), 'utf8');
const blocks = [...page.matchAll(/^```(?<language>\w+)\n(?<text>[\s\S]*?)^```$/gm)].map(({ groups }) => ({
  language: groups?.['language'],
  text: groups?.['text'] ?? '',
}));
const texts = (language: string): readonly string[] =>
  blocks.filter((block) => block.language === language).map(({ text }) => text);

const RENDERS =
  /^helm (upgrade --install|install|upgrade|template) (?<release>\S+) helm\/shard-controller (?<flags>.*)$/;
/** Flags that say how to install, not what. */
const HOW = new Set(['--create-namespace', '--reset-then-reuse-values', '--reuse-values']);

const commands = texts('sh')
  .flatMap((text) => text.trim().split('\n'))
  .map((line) => RENDERS.exec(line)?.groups)
  .filter((groups) => groups !== undefined)
  .map(({ release = '', flags = '' }) => ({ release, flags }));

const valuesSchema = z.record(z.string(), z.unknown());

describe('docs/install.md', () => {
  test('has commands and values to try', () => {
    expect(commands.length).toBeGreaterThan(4);
    expect(texts('yaml').length).toBeGreaterThan(5);
  });

  test.each(commands)('helm … $flags', async ({ release, flags }) => {
    const given = flags
      .split(' ')
      .filter((flag) => !HOW.has(flag))
      .map((flag) => flag.replaceAll("'", ''));
    const yaml = await helm(['template', release, CHART, `--kube-version=${KUBERNETES}`, ...given]);
    expect(yaml).toContain('kind: Deployment');
  });

  test.each(texts('yaml').map((text) => [text.split('\n', 1)[0], text] as const))('values: %s …', async (_, text) => {
    const values = valuesSchema.parse(parse(text));
    await expect(render({ namespace: 'monitoring', values })).resolves.not.toHaveLength(0);
  });
});
