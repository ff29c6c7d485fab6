import { PassThrough } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { delayedUpstream } from './delayed-upstream.ts';

const WATCH = { path: '/x', query: { watch: 'true' } };

/** Reads what passes while `ms` is what the delay says. */
async function opened(query: Readonly<Record<string, string>> = WATCH.query) {
  const source = new PassThrough();
  const state = { pause: 0, asked: 0 };
  const upstream = delayedUpstream(
    { stream: () => Promise.resolve({ status: 200, headers: {}, body: source }) },
    () => {
      state.asked++;
      return state.pause;
    },
  );
  const { body } = await upstream.stream({ ...WATCH, query });
  const passed: string[] = [];
  body.on('data', (chunk: Buffer) => passed.push(chunk.toString()));
  const closed = new Promise<string>((resolve) => {
    body.on('error', (error) => resolve(error.message));
    body.on('end', () => resolve('ended'));
    body.on('close', () => resolve('closed'));
  });
  return { source, body, state, passed, closed };
}

describe('a delayed watch', () => {
  test('passes what comes at once while nothing is to be held back', async () => {
    const { source, passed } = await opened();
    source.write('a');
    await expect.poll(() => passed).toEqual(['a']);
  });

  test('holds back what comes, in its order and with its end, until its time', async () => {
    const { source, state, passed, closed } = await opened();
    state.pause = 10;
    source.write('a');
    source.end('b');
    await expect.poll(() => state.asked).toBeGreaterThan(3);
    expect(passed).toEqual([]);
    state.pause = 0;
    expect(await closed).toBe('ended');
    expect(passed.join('')).toBe('ab');
  });

  test('is not left behind when its connection breaks, or its reader goes', async () => {
    for (const end of ['source', 'body'] as const) {
      const { source, body, state, passed, closed } = await opened();
      state.pause = 10;
      source.write('a');
      await expect.poll(() => state.asked).toBeGreaterThan(0);
      if (end === 'source') source.destroy(new Error('cut'));
      else body.destroy();
      expect(await closed).toBe(end === 'source' ? 'cut' : 'closed');
      expect([source.destroyed, body.destroyed, passed]).toEqual([true, true, []]);
    }
  });

  test.each([
    ['a list', {}],
    ['a first state', { watch: 'true', sendInitialEvents: 'true' }],
  ])('is not %s', async (_what, query: Readonly<Record<string, string>>) => {
    const { source, state, passed } = await opened(query);
    state.pause = 60_000;
    source.write('a');
    await expect.poll(() => passed).toEqual(['a']);
  });
});
