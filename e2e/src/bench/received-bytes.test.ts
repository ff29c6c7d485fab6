import { expect, test } from 'vitest';
import { parseConnections } from './received-bytes.ts';

test('reads bytes per connection, and none for one that has received nothing yet', () => {
  const output = [
    'ESTAB  0 0 10.88.1.3:44100 10.88.0.2:6443 cubic rto:204 bytes_sent:900 bytes_acked:901 bytes_received:123456 segs_out:9',
    'SYN-SENT 0 1 10.88.1.3:44102 10.88.0.2:6443 cubic rto:1000',
    '',
  ].join('\n');
  expect([...parseConnections(output)]).toEqual([
    ['10.88.1.3:44100', 123_456],
    ['10.88.1.3:44102', 0],
  ]);
});
