import { describe, expect, test } from 'vitest';
import { UpstreamFailure } from '../../upstream/upstream-failure.ts';
import { FeedTrouble } from './trouble.ts';

const failure = (code: number, message = 'said'): UpstreamFailure =>
  new UpstreamFailure('/api/v1/pods', { code, reason: 'R', message });

const natureOf = (error: unknown): string | undefined => {
  const trouble = new FeedTrouble();
  trouble.failed('watch', error, 0);
  return trouble.at(0)[0]?.nature;
};

describe('the nature of a failure', () => {
  test.each([
    [401, 'refused'],
    [403, 'refused'],
    [404, 'refused'],
    [410, 'slow'],
    [429, 'slow'],
    [500, 'failing'],
    [503, 'failing'],
    [504, 'slow'],
  ])('%s is %s', (code, nature) => {
    expect(natureOf(failure(code))).toBe(nature);
  });

  test.each([
    [500, 'etcdserver: request timed out', 'slow'],
    [
      429,
      'storage is (re)initializing: failed to list: conversion webhook for x/v2, Kind=Y failed: refused',
      'failing',
    ],
  ])('%s "%s" is %s', (code, said, nature) => {
    expect(natureOf(failure(code, said))).toBe(nature);
  });

  test('of a connection that breaks or says nothing is slow', () => {
    expect(natureOf(new Error('ECONNRESET'))).toBe('slow');
  });
});

describe('trouble', () => {
  test('lasts from the first failure of a run on', () => {
    const trouble = new FeedTrouble();
    trouble.failed('load', failure(403), 1_000, 900);
    trouble.failed('load', failure(500), 3_000, 2_900);
    expect(trouble.at(3_000)).toMatchObject([{ since: 900, failedAt: 3_000, nature: 'failing' }]);
    trouble.worked('load');
    expect([trouble.at(3_000), trouble.problem]).toEqual([[], undefined]);
  });

  test('is not over because the API server accepts a watch, but when that lives', () => {
    const trouble = new FeedTrouble();
    trouble.failed('watch', failure(500), 1_000);
    trouble.opened(1_500);
    expect([trouble.problem, trouble.at(1_600).length]).toEqual([undefined, 1]);
    trouble.failed('watch', failure(500), 1_600);
    expect(trouble.at(1_600)).toMatchObject([{ since: 1_000 }]);
    trouble.opened(2_000);
    trouble.failed('watch', failure(500), 3_500);
    expect(trouble.at(3_500)).toMatchObject([{ since: 3_500 }]);
    trouble.opened(4_000);
    expect(trouble.at(5_000)).toEqual([]);
  });

  test('of a list that gets on and is cut again and again is none', () => {
    const trouble = new FeedTrouble();
    trouble.failed('load', new Error('cut'), 10_000, 0);
    trouble.gotOn(15_000);
    trouble.failed('load', new Error('cut'), 20_000, 10_000);
    expect(trouble.at(20_000)).toMatchObject([{ since: 15_000 }]);
    trouble.failed('load', failure(500), 30_000, 20_000);
    expect(trouble.at(30_000)).toMatchObject([{ since: 15_000 }]);
  });

  test('names what the watch meets before what the lists meet', () => {
    const trouble = new FeedTrouble();
    trouble.failed('load', new Error('list'), 0);
    expect(trouble.problem).toBe('list');
    trouble.failed('watch', new Error('watch'), 0);
    expect(trouble.problem).toBe('watch');
  });
});
