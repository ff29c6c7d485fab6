import { SteppingClock } from '@shard-controller/shared/testing';
import { describe, expect, it } from 'vitest';
import { type FakeAnswer, FakeLink } from '../testing/index.ts';
import { isManagerGone } from './presence.ts';

interface Scene {
  readonly answers?: FakeAnswer;
  /** What our own question to ourselves gets. */
  readonly echo?: FakeAnswer;
  readonly connected?: boolean;
  readonly connectedForMs?: number;
  readonly reachesLog?: () => Promise<unknown>;
}

async function gone(scene: Scene): Promise<{ readonly gone: boolean; readonly asked: readonly string[] }> {
  const clock = new SteppingClock();
  await clock.sleep(60_000);
  const fake = new FakeLink((subject) =>
    subject.endsWith('.manager2') ? (scene.echo ?? { name: 'shard-inspect' }) : (scene.answers ?? 'no-responders'),
  );
  const status = { connected: scene.connected ?? true, since: clock.now() - (scene.connectedForMs ?? 30_000) };
  const link = { request: fake.request.bind(fake), status };
  const reachesLog = scene.reachesLog ?? (() => Promise.resolve());
  const options = { link, reachesLog, identity: 'manager-2', clock };
  const result = await isManagerGone('manager-1_ab-c', options, new AbortController().signal);
  return { gone: result, asked: fake.asked.map(({ subject }) => subject) };
}

describe('the absence of another manager', () => {
  it('is known when the server has nobody under its name, twice', async () => {
    const { gone: isGone, asked } = await gone({});
    expect(isGone).toBe(true);
    const pings = ['manager2', 'manager1abc', 'manager1abc'].map((id) => `$SRV.PING.shard-inspect.${id}`);
    expect(asked).toEqual(pings);
  });

  it('is not concluded where nobody can be found, as with permissions that forbid to answer', async () => {
    expect((await gone({ echo: 'no-responders' })).gone).toBe(false);
    expect((await gone({ echo: 'timeout' })).gone).toBe(false);
  });

  it('is not concluded from silence, an answer or a lost connection', async () => {
    expect((await gone({ answers: 'timeout' })).gone).toBe(false);
    expect((await gone({ answers: { name: 'shard-inspect' } })).gone).toBe(false);
    expect((await gone({ answers: 'disconnected' })).gone).toBe(false);
    expect((await gone({ connected: false })).gone).toBe(false);
  });

  it('is not concluded right after our own connection came back, when the other may still be on its way', async () => {
    const { gone: isGone, asked } = await gone({ connectedForMs: 1_000 });
    expect(isGone).toBe(false);
    expect(asked).toEqual([]);
  });

  it('is not concluded on the side of a broken cluster that cannot write the log', async () => {
    expect((await gone({ reachesLog: () => Promise.reject(new Error('no quorum')) })).gone).toBe(false);
  });
});
