import { expect, it } from 'vitest';
import { type GatewayFacts, gatewayState } from './gateway-state.ts';

const serving: GatewayFacts = {
  stalled: false,
  isolated: undefined,
  standbyOf: undefined,
  assigned: true,
  unassignedReason: '',
  warm: true,
  warmReason: '',
  startsOver: false,
  exporter: 'running',
  draining: false,
};

it('serves when nothing is against it', () => {
  expect(gatewayState(serving)).toEqual({ state: 'serving', reason: '', open: true });
});

it('keeps serving while it drains', () => {
  expect(gatewayState({ ...serving, draining: true })).toMatchObject({ state: 'draining', open: true });
});

it.each<[string, Partial<GatewayFacts>, string, RegExp]>([
  ['after a stall', { stalled: true }, 'fenced', /stalled/],
  ['when it is cut off and has to be fenced', { isolated: 'neither answers' }, 'fenced', /neither answers/],
  ['as a standby', { standbyOf: 'b' }, 'standby', /^replica b of this shard serves$/],
  ['as a standby that drains', { standbyOf: 'a', draining: true }, 'standby', /^replica a/],
  ['without an assignment', { assigned: false, unassignedReason: 'no ShardInstance' }, 'warming', /no ShardInstance/],
  ['while the exporter is loading', { warm: false, warmReason: 'pods: 3 of 8' }, 'warming', /^pods: 3 of 8$/],
  [
    'while the exporter is gone',
    { warm: false, warmReason: 'no watch is open', exporter: 'unreachable' },
    'warming',
    /kube-state-metrics does not answer.*log.*no watch is open/,
  ],
  [
    'while the exporter has never answered',
    { warm: false, warmReason: 'no watch is open', exporter: 'starting' },
    'warming',
    /kube-state-metrics has not answered yet/,
  ],
])('does not serve %s, and says why', (_, over, state, reason) => {
  expect(gatewayState({ ...serving, ...over })).toEqual({ state, reason: expect.stringMatching(reason), open: false });
});

it('says that it will be open again, when it is closed because the exporter starts over and for nothing else', () => {
  const cold = { ...serving, warm: false, warmReason: 'opening', startsOver: true };
  expect(gatewayState(cold)).toEqual({ state: 'warming', reason: 'opening', open: false, startsOver: true });
  for (const over of [{ stalled: true }, { standbyOf: 'b' }, { isolated: 'x' }, { assigned: false }] as const) {
    expect(gatewayState({ ...cold, ...over })).not.toHaveProperty('startsOver');
  }
});

it('does not say standby before it knows its assignment', () => {
  expect(gatewayState({ ...serving, assigned: false, standbyOf: 'a' }).state).toBe('warming');
});

it('does not serve a stalled worker that is draining', () => {
  expect(gatewayState({ ...serving, stalled: true, draining: true }).open).toBe(false);
});
