import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { ConfigError, env, type Environment, parseConfig } from './config.ts';

const schema = z.object({
  POD_NAME: env.text('the name of the pod'),
  PORT: env.port().default(8080),
  SCRAPE_HOLD: env.duration(0, 10_000).default(2000),
  LOG_LEVEL: env.oneOf(['debug', 'info']).default('info'),
  NATS_URL: env.urls(['nats', 'tls']),
  NATS_TOKEN: env.text().optional(),
  TRACE: env.boolean().default(false),
});

const given = { POD_NAME: 'demo-a-0', NATS_URL: 'nats://10.0.0.1:4222' };

function problem(environment: Environment): ConfigError {
  try {
    parseConfig(schema, environment);
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
  throw new Error('nothing was refused');
}

describe('parseConfig', () => {
  it('gives typed values and defaults, ignores foreign variables, and cannot be changed', () => {
    const config = parseConfig(schema, { ...given, PATH: '/bin', PORT: '9090', SCRAPE_HOLD: '1.5s', TRACE: 'true' });
    expect(config).toEqual({
      POD_NAME: 'demo-a-0',
      PORT: 9090,
      SCRAPE_HOLD: 1500,
      LOG_LEVEL: 'info',
      NATS_URL: ['nats://10.0.0.1:4222'],
      TRACE: true,
    });
    expect(Object.isFrozen(config)).toBe(true);
  });

  it('takes an empty variable for one that is not set', () => {
    expect(parseConfig(schema, { ...given, PORT: '', NATS_TOKEN: '' })).toMatchObject({ PORT: 8080 });
    expect(problem({ ...given, POD_NAME: '' }).message).toContain('POD_NAME is not set, expected the name of the pod');
  });

  it('names all problems at once: the variable, what was given, what is expected', () => {
    const error = problem({ PORT: '70000', SCRAPE_HOLD: '2', LOG_LEVEL: 'loud', NATS_URL: 'http://x', TRACE: 'yes' });
    expect(error.code).toBe('SC_CONFIG');
    expect(error.message).toBe(
      '6 configuration problems: ' +
        'POD_NAME is not set, expected the name of the pod; ' +
        'PORT is "70000", expected a whole number from 0 to 65535; ' +
        'SCRAPE_HOLD is "2", expected a duration from 0s to 10s, like 500ms, 30s or 5m; ' +
        'LOG_LEVEL is "loud", expected one of debug, info; ' +
        'NATS_URL is "http://x", expected one or more URLs (nats://host:port or tls://host:port), separated by commas; ' +
        'TRACE is "yes", expected true or false',
    );
    expect(error.problems).toHaveLength(6);
  });

  it('does not repeat the value of a secret', () => {
    const secret = 'x'.repeat(5000);
    const { message } = problem({ ...given, NATS_TOKEN: secret });
    expect(message).toContain('NATS_TOKEN is "***"');
    expect(message).not.toContain(secret);
  });

  it('does not repeat a password that stands in a URL', () => {
    const { message } = problem({ ...given, NATS_URL: 'nats://me:hunter2@host:4222,nope' });
    expect(message).not.toContain('hunter2');
  });

  it.each(['1.5', '1e3', ' 1', '0x10', '99999999999999999'])('takes %j for no whole number', (PORT) => {
    expect(problem({ ...given, PORT }).message).toContain('PORT is');
  });

  it('reads several URLs', () => {
    const { NATS_URL } = parseConfig(schema, { ...given, NATS_URL: 'nats://a:4222, tls://b:4222/' });
    expect(NATS_URL).toEqual(['nats://a:4222', 'tls://b:4222']);
  });
});
