import { ConfigError } from '@shard-controller/shared/runtime';
import { describe, expect, it } from 'vitest';
import { loadManagerConfig } from './manager-config.ts';

const minimal = { POD_NAMESPACE: 'monitoring', NATS_URL: 'nats://nats:4222' };

describe('loadManagerConfig', () => {
  it('needs only a namespace and NATS', () => {
    const config = loadManagerConfig(minimal);
    expect(config.watchNamespace).toBe('monitoring');
    expect(config.worker.nats.url).toBe('nats://nats:4222');
    expect(config.lease).toMatchObject({ durationMs: 6000, renewDeadlineMs: 4000, retryPeriodMs: 1000 });
  });

  it('lists every problem at once, by the name of its variable', () => {
    const load = () => loadManagerConfig({ NATS_URL: 'http://nats', TICK_INTERVAL: 'often', HTTP_PORT: '70000' });
    expect(load).toThrow(ConfigError);
    expect(load).toThrow(
      /POD_NAMESPACE is not set.*NATS_URL is "http:\/\/nats".*HTTP_PORT is "70000".*TICK_INTERVAL is "often"/,
    );
  });

  it('needs no NATS for KSMScales alone', () => {
    const alone = { POD_NAMESPACE: 'monitoring', SHARDCONFIG_ENABLED: 'false', KSMSCALE_ENABLED: 'true' };
    expect(loadManagerConfig(alone).ksmScales).toEqual({ enabled: true, namespaces: ['monitoring'], fixedUser: true });
    expect(loadManagerConfig({ ...alone, KSMSCALE_NAMESPACES: 'a,b' }).ksmScales.namespaces).toEqual(['a', 'b']);
    expect(loadManagerConfig({ ...alone, KSMSCALE_NAMESPACES: '*' }).ksmScales.namespaces).toBeUndefined();
    expect(() => loadManagerConfig({ POD_NAMESPACE: 'monitoring' })).toThrow(/NATS_URL.*SHARDCONFIG_ENABLED=false/);
    expect(() => loadManagerConfig({ ...alone, KSMSCALE_ENABLED: 'false' })).toThrow(/nothing to do/);
    expect(() => loadManagerConfig({ ...alone, KSMSCALE_NAMESPACES: 'a,' })).toThrow(/KSMSCALE_NAMESPACES/);
  });

  it('refuses lease times with which two managers could lead at once', () => {
    expect(() => loadManagerConfig({ ...minimal, LEASE_DURATION: '4s' })).toThrow(
      /LEASE_RENEW_DEADLINE.*shorter than LEASE_DURATION/,
    );
    expect(() => loadManagerConfig({ ...minimal, LEASE_RETRY_PERIOD: '4s' })).toThrow(
      /LEASE_RETRY_PERIOD.*shorter than LEASE_RENEW_DEADLINE/,
    );
  });
});
