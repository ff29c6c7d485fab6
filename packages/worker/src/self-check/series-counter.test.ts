import { describe, expect, it } from 'vitest';
import { SeriesCounter } from './series-counter.ts';

const TEXT = [
  '# HELP kube_pod_info [STABLE] Information about pod.',
  '# TYPE kube_pod_info gauge',
  'kube_pod_info{namespace="a",pod="kube_pod_info{"} 1',
  'kube_pod_info{namespace="a",pod="y"} 1',
  '# HELP kube_pod_info_more Its name begins like the other one.',
  'kube_pod_info_more{pod="x"} 1',
  'kube_pod_info{namespace="b",pod="z"} 1',
  'up 1',
  'up 1',
  '# HELP kube_empty Nothing.',
  '',
].join('\n');

function counted(chunkSize: number): SeriesCounter {
  const counter = new SeriesCounter();
  const bytes = Buffer.from(TEXT);
  for (let at = 0; at < bytes.length; at += chunkSize) counter.push(bytes.subarray(at, at + chunkSize));
  return counter;
}

describe('series of an exposition', () => {
  it('are counted by name, however the text is cut into chunks', () => {
    for (let size = 1; size <= TEXT.length; size++) {
      const counter = counted(size);
      expect([counter.series('kube_pod_info'), counter.series('kube_pod_info_more'), counter.series('up')]).toEqual([
        3, 1, 2,
      ]);
    }
  });

  it('tell an exposed metric without series from one that is not exposed', () => {
    const counter = counted(64);
    expect([counter.has('kube_empty'), counter.series('kube_empty')]).toEqual([true, 0]);
    expect(counter.has('kube_pod')).toBe(false);
    expect([counter.hasPrefix('kube_pod_'), counter.hasPrefix('kube_node_')]).toEqual([true, false]);
  });

  it('end with an error when a line has no end', () => {
    const counter = new SeriesCounter();
    expect(() => {
      for (let i = 0; i < 10; i++) counter.push(Buffer.alloc(1024 * 1024, 'x'));
    }).toThrow(/longer than/);
  });
});
