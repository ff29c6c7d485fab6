import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { readAnnotations } from './exporter-annotations.ts';
import { goModuleFolder } from './testing/go-module.ts';

/** internal/store of the pinned kube-state-metrics: source by file name, tests left out. */
const store = new Map<string, string>();
let version = '';
let constants = '';

beforeAll(async () => {
  const folder = await goModuleFolder('kube-state-metrics', 'k8s.io/kube-state-metrics/v2');
  version = folder.slice(folder.lastIndexOf('@v') + 2);
  const path = join(folder, 'internal/store');
  for (const name of await readdir(path)) {
    if (name.endsWith('.go') && !name.endsWith('_test.go')) store.set(name, await readFile(join(path, name), 'utf8'));
  }
  const core = await goModuleFolder('kube-state-metrics', 'k8s.io/api');
  constants = await readFile(join(core, 'core/v1/types.go'), 'utf8');
});

/** Text of a Go string or of a constant of core/v1. */
function textOf(expression: string): string | undefined {
  const name = /^v1\.(\w+)$/.exec(expression)?.[1];
  return name === undefined
    ? /^"([^"]+)"$/.exec(expression)?.[1]
    : new RegExp(`\\b${name} += "([^"]+)"`).exec(constants)?.[1];
}

test('the annotations that kube-state-metrics reads by itself are those of its source', () => {
  const found = [...store].flatMap(([file, source]) =>
    [...source.matchAll(/Annotations\[([^\]]+)\]/g)].map(([, key = '']) => `${file} ${textOf(key)}`),
  );
  const table = [
    ['ingress.go', 'networking.k8s.io', 'ingresses'],
    ['persistentvolumeclaim.go', '', 'persistentvolumeclaims'],
  ].flatMap(([file = '', group = '', resource = '']) =>
    (readAnnotations(version, group, resource) ?? []).map((key) => `${file} ${key}`),
  );
  expect(found.toSorted()).toEqual(table.toSorted());
});

test('every other use of annotations is the one that its allow-list decides', () => {
  for (const [file, source] of store) {
    for (const [line] of source.matchAll(/^.*(\.Annotations\b(?!\[)|GetAnnotations\().*$/gm)) {
      expect(`${file}: ${line}`).toMatch(/createPrometheusLabelKeysValues\("annotation", \w+\.Annotations, \w+\)/);
    }
  }
});

test('the data of Secrets and ConfigMaps, and managedFields, are read nowhere', () => {
  for (const file of ['secret.go', 'configmap.go']) {
    expect(store.get(file)).not.toMatch(/\.(Data|StringData|BinaryData)\b/);
  }
  for (const [file, source] of store) expect(`${file}: ${source}`).not.toMatch(/ManagedFields/);
});

test('every resource that it has metrics of is known by its group', () => {
  const builder = store.get('builder.go') ?? '';
  const resources = [...builder.matchAll(/^\t"([a-z]+)": +func\(b \*Builder\)/gm)].map(([, name = '']) => name);
  expect(resources.length).toBeGreaterThan(30);
  const groups = [
    '',
    'admissionregistration.k8s.io',
    'apps',
    'autoscaling',
    'batch',
    'certificates.k8s.io',
    'coordination.k8s.io',
    'discovery.k8s.io',
    'networking.k8s.io',
    'policy',
    'rbac.authorization.k8s.io',
    'storage.k8s.io',
  ];
  for (const resource of resources) {
    const inGroups = groups.filter((group) => readAnnotations(version, group, resource) !== undefined);
    expect([resource, inGroups.length]).toEqual([resource, 1]);
  }
});
