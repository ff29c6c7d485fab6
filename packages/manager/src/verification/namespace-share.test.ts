import fc from 'fast-check';
import { expect, test } from 'vitest';
import { shareOf } from './namespace-share.ts';

const ALL = ['a', 'b', 'c', 'd', 'e'];
const scopes = fc.record({ except: fc.boolean(), names: fc.subarray(['a', 'b', 'c', 'd']) });
type Scope = { readonly except: boolean; readonly names: readonly string[] };
const holds = ({ except, names }: Scope, name: string): boolean => names.includes(name) !== except;

test('each side is asked for exactly what both export', () => {
  fc.assert(
    fc.property(scopes, scopes, (own, other) => {
      const share = shareOf(own, other);
      const common = ALL.filter((name) => holds(own, name) && holds(other, name));
      const asked = ALL.filter(
        (name) => share !== undefined && holds(own, name) && share.names.includes(name) !== share.but,
      );
      expect(asked).toEqual(common);
    }),
  );
});

test('what is asked for is the shorter of the two ways', () => {
  const many = Array.from({ length: 300 }, (_, i) => `n${i}`);
  const share = shareOf({ except: false, names: many }, { except: false, names: many.slice(1) });
  expect(share).toEqual({ but: true, names: ['n0'] });
  expect(shareOf({ except: true, names: [] }, { except: true, names: many })).toEqual({ but: true, names: many });
  expect(shareOf({ except: false, names: ['a'] }, { except: false, names: ['b'] })).toBeUndefined();
});
