import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ManualClock } from '../../testing/index.ts';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EndpointError, inClusterEndpoint, type KubernetesEndpoint, staticEndpoint } from './endpoint.ts';

let folder: string;
let clock: ManualClock;

function write(token: string, ca = 'CA'): void {
  writeFileSync(join(folder, 'token'), token);
  writeFileSync(join(folder, 'ca.crt'), ca);
}

function endpoint(
  env: Readonly<Record<string, string>> = { KUBERNETES_SERVICE_HOST: '10.0.0.1', KUBERNETES_SERVICE_PORT: '6443' },
): KubernetesEndpoint {
  return inClusterEndpoint({ env, folder, clock });
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'endpoint-'));
  clock = new ManualClock();
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('inClusterEndpoint', () => {
  it('reads server, token and CA, and reads the files again after 60 s', async () => {
    write('one\n', 'CA one');
    const found = endpoint();
    expect([found.server, found.token(), found.ca()]).toEqual(['https://10.0.0.1:6443', 'one', 'CA one']);
    write('two\n', 'CA two');
    await clock.advance(59_999);
    expect([found.token(), found.ca()]).toEqual(['one', 'CA one']);
    await clock.advance(1);
    expect([found.token(), found.ca()]).toEqual(['two', 'CA two']);
  });

  it('reads at once after a refresh', () => {
    write('one');
    const found = endpoint();
    write('two');
    expect(found.refresh?.()).toBe(true);
    expect(found.token()).toBe('two');
  });

  it('keeps the last good token when the file is gone or empty for a moment', async () => {
    write('one');
    const found = endpoint();
    write('');
    await clock.advance(60_000);
    expect(found.token()).toBe('one');
    rmSync(join(folder, 'token'));
    await clock.advance(60_000);
    expect(found.token()).toBe('one');
    write('two');
    await clock.advance(60_000);
    expect(found.token()).toBe('two');
  });

  it('writes an IPv6 address in brackets', () => {
    write('one');
    expect(endpoint({ KUBERNETES_SERVICE_HOST: 'fd00::1', KUBERNETES_SERVICE_PORT: '443' }).server).toBe(
      'https://[fd00::1]:443',
    );
  });

  it('says what is missing outside a pod', () => {
    write('one');
    expect(() => endpoint({})).toThrow(EndpointError);
    expect(() => endpoint({})).toThrow(/KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set/);
  });

  it('says which file is missing without a ServiceAccount mount', () => {
    expect(() => endpoint()).toThrow(/token cannot be read: mount a ServiceAccount token/);
  });
});

describe('staticEndpoint', () => {
  it('takes the server without its last slash', () => {
    expect(staticEndpoint({ server: 'https://x:1/', token: 't' }).server).toBe('https://x:1');
  });
});
