import { expect, test } from 'vitest';
import { Exposure } from '../slots/exposure.ts';
import { ExposureLedger } from './exposure-ledger.ts';

const exposure = (...shown: number[]): Exposure => new Exposure(() => 0, Uint8Array.from(shown));
const A = exposure(1, 0);
const B = exposure(0, 1);

async function ledgerOf(...marks: [string, Exposure][]): Promise<ExposureLedger> {
  const ledger = new ExposureLedger();
  for (const [version, shown] of marks) {
    await ledger.enter(
      '/p',
      () => shown,
      () => Promise.resolve(version),
    );
  }
  return ledger;
}

test('a version belongs to the exposure that was shown then; between two it belongs to the older one', async () => {
  const ledger = await ledgerOf(['100', A], ['200', B]);
  expect(ledger.heldAt('/p', '99')).toBeUndefined();
  expect(ledger.heldAt('/p', '100')).toBe(A);
  expect(ledger.heldAt('/p', '200')).toBe(A);
  expect(ledger.heldAt('/p', '201')).toBe(B);
  expect(ledger.heldAt('/p', '1000000000000000000000')).toBe(B);
  expect(ledger.heldAt('/other', '150')).toBeUndefined();
});

test('the same exposure is one mark, however often it is entered', async () => {
  expect((await ledgerOf(['100', A], ['200', A])).heldAt('/p', '100')).toBe(A);
});

test('a list from a cache that was behind is known by what was given out', async () => {
  const ledger = await ledgerOf(['100', A]);
  ledger.give('/p', '60', A);
  expect([ledger.heldAt('/p', '60'), ledger.heldAt('/p', '61')]).toEqual([A, undefined]);
});

test('after a torn move nobody is believed', async () => {
  const ledger = await ledgerOf(['100', A]);
  ledger.forget('/p');
  expect(ledger.heldAt('/p', '150')).toBeUndefined();
});

test('memory is bounded: the oldest exposures, positions and collections are forgotten', async () => {
  const ledger = new ExposureLedger();
  for (let i = 1; i <= 40; i++) {
    const shown = i % 2 === 0 ? exposure(1, 0) : exposure(0, 1);
    await ledger.enter(
      '/p',
      () => shown,
      () => Promise.resolve(String(i * 100)),
    );
  }
  expect(ledger.heldAt('/p', '2500')).toBeUndefined();
  expect(ledger.heldAt('/p', '2501')).toBeDefined();
  for (let i = 0; i < 200; i++) ledger.give('/p', String(1_000 + i), A);
  expect([ledger.heldAt('/p', '1000'), ledger.heldAt('/p', '1199')]).toEqual([undefined, A]);
  for (let i = 0; i < 300; i++) ledger.give(`/${i}`, '1', A);
  expect(ledger.heldAt('/p', '3950')).toBeUndefined();
});

test('a server whose versions have no order is believed as long as nothing has changed', async () => {
  expect((await ledgerOf(['a7', A])).heldAt('/p', 'x')).toBe(A);
  expect((await ledgerOf(['a7', A], ['a9', B])).heldAt('/p', 'x')).toBeUndefined();
});

test('a position that cannot be read leaves no mark behind', async () => {
  const ledger = new ExposureLedger();
  await expect(
    ledger.enter(
      '/p',
      () => A,
      () => Promise.reject(new Error('down')),
    ),
  ).rejects.toThrow('down');
  await ledger.enter(
    '/p',
    () => A,
    () => Promise.resolve('5'),
  );
  expect(ledger.heldAt('/p', '6')).toBe(A);
});
