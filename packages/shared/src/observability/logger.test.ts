import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { createLogger, type LogLevel } from './logger.ts';

function capture(level?: LogLevel) {
  const lines: string[] = [];
  const destination = { write: (line: string) => void lines.push(line) };
  const logger = createLogger({ name: 'worker', destination, ...(level === undefined ? {} : { level }) });
  return { logger, lines, first: () => z.looseObject({}).parse(JSON.parse(lines[0] ?? 'null')) };
}

const JWT = 'eyJhbGciOiJSUzI1NiIsImtpZCI6Ing.eyJzdWIiOiJzeXN0ZW06c2VydmljZWFjY291bnQ.c2lnbmF0dXJl';

describe('createLogger', () => {
  it('writes one JSON object a line, with level, time, component and message', () => {
    const { logger, lines, first } = capture();
    logger.info({ shardConfig: 'demo', epoch: 7 }, 'assignment accepted');
    expect(lines).toHaveLength(1);
    expect(lines[0]?.endsWith('}\n')).toBe(true);
    expect(first()).toEqual({
      level: 'info',
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      component: 'worker',
      shardConfig: 'demo',
      epoch: 7,
      msg: 'assignment accepted',
    });
  });

  it('leaves out what is below its level', () => {
    const { logger, lines } = capture('warn');
    logger.info('quiet');
    logger.warn('loud');
    expect(lines).toHaveLength(1);
  });

  it.each([
    ['a field', { token: 'abc123secret' }],
    ['a header', { request: { headers: { authorization: 'Basic abc123secret' } } }],
    ['a nested field', { nats: { password: 'abc123secret' } }],
  ])('masks a secret in %s', (_where, fields) => {
    const { logger, lines } = capture();
    logger.info(fields, 'connected');
    expect(lines[0]).not.toContain('abc123secret');
    expect(lines[0]).toContain('[redacted]');
  });

  it.each([
    ['a bearer header in a text', `sent Authorization: Bearer abc123secret.xyz to the server`, 'abc123secret'],
    ["a ServiceAccount's token", `token ${JWT} was refused`, JWT],
    ['a password in a URL', 'no server at nats://me:abc123secret@host:4222', 'abc123secret'],
  ])('masks %s, also inside an error', (_what, text, secret) => {
    const { logger, lines, first } = capture();
    logger.error({ err: new Error(text) }, text);
    expect(lines[0]).not.toContain(secret);
    expect(first()).toMatchObject({ level: 'error' });
  });

  it('leaves ordinary addresses alone', () => {
    const { logger, first } = capture();
    logger.info({ server: 'https://10.0.0.1:6443/api' }, 'nats://host:4222 is up, ask team@example.com');
    expect(first()).toMatchObject({
      server: 'https://10.0.0.1:6443/api',
      msg: 'nats://host:4222 is up, ask team@example.com',
    });
  });
});
