import { describe, expect, it } from 'vitest';
import { readCustomResourceState } from './custom-resource-state.ts';

const resources = (...gvks: readonly string[]): string =>
  [
    'kind: CustomResourceStateMetrics',
    'spec:',
    '  resources:',
    ...gvks.map((gvk) => `  - groupVersionKind: ${gvk}`),
  ].join('\n');

const kinds = (text: string): readonly string[] => {
  const read = readCustomResourceState(text);
  if (!read.ok) throw new Error(read.problems.join('; '));
  return read.kinds.map(({ kind, group }) => `${kind}.${group}`);
};

const problems = (text: string): readonly string[] => {
  const read = readCustomResourceState(text);
  return read.ok ? [] : read.problems;
};

describe('readCustomResourceState', () => {
  it('names every kind once, in the order of the text', () => {
    const text = resources(
      '{ group: example.com, version: v1, kind: Widget }',
      '{ group: apps.example.org, version: "*", kind: Gadget }',
      '{ group: example.com, version: v2, kind: Widget }',
    );
    expect(kinds(text)).toEqual(['Widget.example.com', 'Gadget.apps.example.org']);
  });

  it.each([
    '{ group: example.com, version: v1, kind: "*" }',
    '{ group: example.com }',
    '{ group: example.com, kind: }',
  ])('takes %s for all kinds of the group, as kube-state-metrics does', (gvk) => {
    expect(kinds(resources(gvk))).toEqual(['*.example.com']);
  });

  it('reads the first document only, and follows anchors and merge keys', () => {
    const text = [
      'spec:',
      '  resources:',
      '  - groupVersionKind: &widget { group: example.com, version: v1, kind: Widget }',
      '    labelsFromPath: { name: [metadata, name] }',
      '  - groupVersionKind: { <<: *widget, kind: Gadget }',
      '---',
      'spec: 7',
    ].join('\n');
    expect(kinds(text)).toEqual(['Widget.example.com', 'Gadget.example.com']);
  });

  it.each([
    ['', 'is empty'],
    ['# nothing but a comment', 'is empty'],
    ['---', '(document): Invalid input: expected object, received null'],
    ['Widget.example.com', '(document): Invalid input: expected object, received string'],
    ['spec: {}', 'spec.resources: Invalid input: expected array, received undefined'],
    [
      resources('{ version: v1, kind: Widget }'),
      'spec.resources[0].groupVersionKind.group: Invalid input: expected string, received undefined',
    ],
    [
      resources('{ group: "*", kind: Widget }'),
      'spec.resources[0].groupVersionKind.group: expected the name of an API group, like example.com',
    ],
    [
      resources('{ group: example.com, kind: "Widget,Gadget" }'),
      'spec.resources[0].groupVersionKind.kind: expected the name of a kind, or "*" for all',
    ],
  ])('says what is wrong with %j', (text, problem) => {
    expect(problems(text)).toEqual([problem]);
  });

  it('says where a text stops being YAML, without quoting it', () => {
    expect(problems('spec:\n  resources: [ secret-value\n')).toEqual([
      expect.stringMatching(/^is not YAML: .* at line \d+, column \d+$/),
    ]);
    expect(problems('spec:\n  resources: [ secret-value\n').join()).not.toContain('secret-value');
  });

  it('refuses a text that would blow up in memory', () => {
    const levels = Array.from({ length: 12 }, (_, i) =>
      i === 0
        ? 'a0: &a0 [x, x, x, x, x, x, x, x, x, x]'
        : `a${i}: &a${i} [${Array(10)
            .fill(`*a${i - 1}`)
            .join(', ')}]`,
    );
    expect(problems(levels.join('\n'))).toEqual([expect.stringMatching(/^is not YAML: .*alias/i)]);
  });

  it('counts bytes, because the text is one argument of a process', () => {
    const text = `${resources('{ group: example.com }')}\n# ${'€'.repeat(43_700)}`;
    expect(text.length).toBeLessThan(131_000);
    expect(problems(text)).toEqual([expect.stringMatching(/^is 131\d{3} bytes long; .* can be given 131000$/)]);
  });
});
