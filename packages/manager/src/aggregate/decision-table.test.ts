import { expect, it } from 'vitest';
import { decisionTable, DecisionTableError, type TableConfig } from './decision-table.ts';

const door: TableConfig = {
  id: 'door',
  initial: 'Open',
  states: {
    Open: {
      on: {
        PUSH: [
          { guard: 'isHard', target: 'Shut', actions: 'slam' },
          { target: 'Shut', actions: 'close' },
        ],
      },
    },
    Shut: { on: { KNOCK: [{ actions: 'answer' }] } },
  },
};

const implementations = {
  guards: { isHard: (context: { readonly force: number }) => context.force > 5 },
  decisions: { slam: () => ['bang'], close: () => ['click'], answer: () => ['hello'] },
};

const table = decisionTable<{ readonly force: number }, { readonly type: 'PUSH' | 'KNOCK' }, string>(
  door,
  implementations,
);

it('takes the first row whose guard holds', () => {
  expect(table.evaluate('Open', { force: 9 }, { type: 'PUSH' })).toEqual({ to: 'Shut', events: ['bang'] });
  expect(table.evaluate('Open', { force: 1 }, { type: 'PUSH' })).toEqual({ to: 'Shut', events: ['click'] });
});

it('stays where a row names no target', () => {
  expect(table.evaluate('Shut', { force: 0 }, { type: 'KNOCK' })).toEqual({ to: 'Shut', events: ['hello'] });
});

it('has no result on a trigger that the state does not handle', () => {
  expect(table.evaluate('Open', { force: 0 }, { type: 'KNOCK' })).toBeUndefined();
});

it('refuses rows that name what has no implementation', () => {
  const rows = (row: { guard?: string; actions: string }): TableConfig => ({
    id: 'door',
    initial: 'Open',
    states: { Open: { on: { PUSH: [row] } } },
  });
  expect(() => table.withRows(rows({ actions: 'sing' }))).toThrow(DecisionTableError);
  expect(() => table.withRows(rows({ guard: 'isRed', actions: 'close' }))).toThrow('no guard "isRed"');
});
