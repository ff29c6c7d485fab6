import { join } from 'node:path';
import { stringify } from 'yaml';
import { expect, test } from 'vitest';
import { CI_VALUES } from './ci-values.ts';
import { CHART, helm, KUBERNETES, type Manifest, render } from './render.ts';

const namespace = 'monitoring';

/** As the definitions stand in crds/ already. */
const withoutDefinitions = (manifests: readonly Manifest[]): readonly Manifest[] =>
  manifests.filter(({ kind }) => kind !== 'CustomResourceDefinition');

const golden = (manifests: readonly Manifest[]): string =>
  withoutDefinitions(manifests)
    .map((manifest) => stringify(manifest, { lineWidth: 0, aliasDuplicateObjects: false }))
    .join('---\n');

test.each([...CI_VALUES])('%s renders as before (vitest -u rewrites it), by Helm 3 and 4', async (name, file) => {
  const [four, three] = await Promise.all([
    render({ namespace, files: [file] }),
    render({ namespace, files: [file], helm: 'helm-3' }),
  ]);
  expect(three).toEqual(four);
  await expect(golden(four)).toMatchFileSnapshot(join(import.meta.dirname, 'testdata', `${name}.golden`));
});

test.each([...CI_VALUES])('%s passes the strict lint of both', async (_, file) => {
  for (const binary of ['helm', 'helm-3'] as const) {
    const said = await helm(
      ['lint', CHART, '--strict', '--namespace', namespace, '--kube-version', KUBERNETES, '--values', file],
      { binary },
    );
    expect(said).toContain('0 chart(s) failed');
  }
});
