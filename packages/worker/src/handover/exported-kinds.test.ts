import { MAX_KIND_NAME, verifyReplySchema } from '@shard-controller/shared/contracts';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { feedKeyOf, selectionOf } from '../upstream/collection-key.ts';
import { namespacesOf } from '../upstream/selection.ts';
import { type ExportedKind, exportedKinds, holdsNamespace, scopeText } from './exported-kinds.ts';

const PROTOBUF = 'application/vnd.kubernetes.protobuf,application/json';

/** What the exporter asks for: a kind, maybe of one namespace, maybe narrowed. */
function watched(over: {
  resource?: string;
  group?: string;
  version?: string;
  namespace?: string;
  fieldSelector?: string;
  labelSelector?: string;
  accept?: string;
}) {
  const { resource = 'pods', group = '', version = 'v1', namespace = '', accept = PROTOBUF } = over;
  const { fieldSelector = '', labelSelector = '' } = over;
  const address = { path: `/x/${resource}`, group, version, resource, namespace };
  return { selection: selectionOf(feedKeyOf(address, { fieldSelector, labelSelector }, accept)) };
}

const denied = (names: readonly string[]): string => names.map((name) => `metadata.namespace!=${name}`).join(',');
const kindsOf = (...feeds: ReturnType<typeof watched>[]): [string, string][] =>
  exportedKinds(feeds).map(({ name, namespaces }) => [name, scopeText(namespaces)]);
const only = <T>([kind, ...others]: ExportedKind<T>[]): ExportedKind<T> => {
  if (kind === undefined || others.length > 0) throw new Error('not one kind');
  return kind;
};

describe('the kinds of an exporter', () => {
  test('are one for all its watches of a kind, whatever the namespaces', () => {
    const kind = only(exportedKinds([watched({ namespace: 'b' }), watched({ namespace: 'a' })]));
    expect(kind.name).toBe('pods');
    expect(kind.namespaces).toEqual({ except: false, names: ['a', 'b'] });
    expect(kind.feeds).toHaveLength(2);
  });

  test('have one name whatever is denied, and another scope', () => {
    const one = only(exportedKinds([watched({ fieldSelector: denied(['x']) })]));
    const two = only(exportedKinds([watched({ fieldSelector: denied(['y', 'x']) })]));
    expect([one.name, two.name]).toEqual(['pods', 'pods']);
    expect(two.namespaces).toEqual({ except: true, names: ['x', 'y'] });
    expect(scopeText(one.namespaces)).not.toBe(scopeText(two.namespaces));
    expect(scopeText(only(exportedKinds([watched({})])).namespaces)).toBe('');
  });

  test('keep a kind apart that is read in two encodings, so that both are compared', () => {
    const json = watched({ accept: 'application/json' });
    expect(kindsOf(watched({}), json)).toEqual([
      ['pods', ''],
      ['pods/json', ''],
    ]);
    const custom = { resource: 'widgets', group: 'example.com', accept: 'application/json' };
    expect(kindsOf(watched(custom))).toEqual([['widgets.example.com', '']]);
  });

  test('are the same in another version, unless several are read at once', () => {
    const v1 = watched({ group: 'apps', resource: 'deployments' });
    const beta = watched({ group: 'apps', resource: 'deployments', version: 'v1beta1' });
    expect(kindsOf(v1)).toEqual(kindsOf(beta));
    expect(kindsOf(v1, beta).map(([name]) => name)).toEqual(['deployments.apps@v1', 'deployments.apps@v1beta1']);
  });

  test('are others where more than namespaces is selected', () => {
    const name = kindsOf(watched({ fieldSelector: 'spec.nodeName=n1,metadata.namespace!=x' }))[0]?.[0];
    expect(name).toMatch(/^pods\?[0-9a-f]{16}$/);
    expect(kindsOf(watched({ labelSelector: 'a=b' }))[0]?.[0]).not.toBe(name);
  });

  test('have names and scopes that fit the contract, whatever is asked for', () => {
    const text = fc.string({ maxLength: 600, unit: 'grapheme' });
    fc.assert(
      fc.property(
        fc.array(
          fc.record({
            resource: text,
            group: text,
            version: text,
            namespace: text,
            fieldSelector: text,
            labelSelector: text,
          }),
        ),
        (selected) => {
          const kinds = exportedKinds(selected.map(watched)).slice(0, 50);
          for (const { name } of kinds) expect(name.length).toBeLessThanOrEqual(MAX_KIND_NAME);
          const digest = '0'.repeat(16);
          const answers = kinds.map((kind) => ({
            kind: kind.name,
            scope: scopeText(kind.namespaces),
            at: '1',
            count: 1,
            digest,
          }));
          verifyReplySchema.parse({ v: 'shard.verify.v2', migration: 'm', settled: true, kinds: answers });
        },
      ),
    );
  }, 30_000);
});

test('a scope holds what its watches would show', () => {
  const name = fc.constantFrom('a', 'b', 'c', 'd');
  const selector = fc.oneof(
    fc.record({ namespace: name, fieldSelector: fc.constant('') }),
    fc.record({ namespace: fc.constant(''), fieldSelector: fc.array(name, { maxLength: 3 }).map(denied) }),
    fc.record({ namespace: fc.constantFrom('', 'a'), fieldSelector: name.map((n) => `metadata.namespace=${n}`) }),
  );
  fc.assert(
    fc.property(fc.array(selector, { minLength: 1, maxLength: 4 }), (selected) => {
      const { namespaces } = only(exportedKinds(selected.map(watched)));
      for (const object of ['a', 'b', 'c', 'd', 'e']) {
        const isShown = selected.some(({ namespace, fieldSelector }) =>
          holdsNamespace(namespacesOf(namespace, fieldSelector).namespaces, object),
        );
        expect(holdsNamespace(namespaces, object)).toBe(isShown);
      }
    }),
  );
});
