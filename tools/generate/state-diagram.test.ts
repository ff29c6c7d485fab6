import { expect, test } from 'vitest';
import { stateDiagram, stateMachinesPage } from './state-diagram.ts';

const door = {
  id: 'door',
  initial: 'Open',
  on: { KNOCK: [{ actions: 'answer' }], BREAK: [{ guard: 'isOld', target: '.Gone', actions: 'remove' }] },
  states: {
    Open: {
      on: {
        PUSH: [
          { guard: 'isHard', target: 'Shut', actions: 'slam' },
          { target: 'Shut', actions: 'close' },
        ],
      },
    },
    Shut: { on: { KICK: [{ actions: 'creak' }] } },
    Gone: {},
  },
};

test('every row is an arrow with its trigger, guard and decision', () => {
  expect(stateDiagram(door).split('\n')).toEqual([
    '```mermaid',
    'stateDiagram-v2',
    '  [*] --> Open',
    '  Open --> Shut: PUSH [isHard] / slam',
    '  Open --> Shut: PUSH / close',
    '  Shut --> Shut: KICK / creak',
    '  state "any state" as anyState',
    '  anyState --> anyState: KNOCK / answer',
    '  anyState --> Gone: BREAK [isOld] / remove',
    '```',
  ]);
});

test('the page has a section for each table', () => {
  expect(stateMachinesPage([door, { ...door, id: 'gate' }]).match(/^## \w+$/gm)).toEqual(['## door', '## gate']);
});
