import { expect, test } from 'vitest';
import { parseConnection } from './received-bytes.ts';

test('reads the socket and its bytes, and none for one that has received nothing yet', () => {
  const open =
    'ESTAB  0 0 10.88.1.3:44100 10.88.0.2:6443 ino:7 sk:fd3 <-> ts sack cubic rto:204 bytes_sent:900 bytes_acked:901 bytes_received:123456 segs_out:9';
  expect(parseConnection(open)).toEqual({ cookie: 'fd3', bytes: 123_456 });
  expect(parseConnection('SYN-SENT 0 1 10.88.1.3:44102 10.88.0.2:6443 ino:8 sk:1e25 rto:1000')).toEqual({
    cookie: '1e25',
    bytes: 0,
  });
  expect(parseConnection('')).toBeUndefined();
});
