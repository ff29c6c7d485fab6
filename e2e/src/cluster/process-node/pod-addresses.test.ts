import { describe, expect, it } from 'vitest';
import { PodAddresses } from './pod-addresses.ts';

describe('pod addresses', () => {
  it('are never given twice, have a hardware address of their own and names that Linux takes', () => {
    const addresses = new PodAddresses();
    const taken = Array.from({ length: 2000 }, () => addresses.take());
    expect(new Set(taken.map(({ ip }) => ip)).size).toBe(2000);
    expect(new Set(taken.map(({ mac }) => mac)).size).toBe(2000);
    expect(taken.every(({ id }) => id.length <= 15)).toBe(true);
    expect(taken.some(({ ip }) => /\.(0|255)$/.test(ip) || ip.startsWith('10.88.0.'))).toBe(false);
  });

  it('end with a clear error', () => {
    const addresses = new PodAddresses();
    expect(() => {
      for (;;) addresses.take();
    }).toThrow('start a new cluster');
  });
});
