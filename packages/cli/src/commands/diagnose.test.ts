import { describe, expect, it } from 'vitest';
import { redacted, redactedText } from './diagnose.ts';

describe('what is left out of a bug report', () => {
  it('is whatever is called like a secret', () => {
    const container = {
      env: [
        { name: 'NATS_TOKEN', value: 'planted-1' },
        { name: 'NATS_URL', value: 'nats://nats:4222' },
      ],
      password: 'planted-2',
      secretName: 'planted-3',
    };
    const text = JSON.stringify(
      redacted({ spec: { containers: [container] }, metadata: { managedFields: ['planted-4'] } }),
    );
    expect(text).not.toContain('planted');
    expect(text).toContain('nats://nats:4222');
  });

  it('is the password of a connection string in a log', () => {
    expect(redactedText('connected to nats://user:planted@nats:4222/x')).toBe(
      'connected to nats://REDACTED@nats:4222/x',
    );
  });
});
