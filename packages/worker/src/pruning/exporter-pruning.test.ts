import { describe, expect, test } from 'vitest';
import { protobufCodec } from '../wire/frame-codec.ts';
import { FrameView } from '../wire/frame-view.ts';
import { AnnotationFilter } from './annotation-filter.ts';
import { type ExporterPruning, prunerFor } from './exporter-pruning.ts';
import { decodeFrame, encodeFrame, encodeObject, type Fields, type SchemaKind } from './testing/kubernetes-schema.ts';

const EXPORTER: ExporterPruning = {
  version: '2.20.0',
  annotationAllowList: new Map([
    ['pods', ['example.com/owner']],
    ['configmaps', ['example.com/*']],
  ]),
};
const SECRET = { group: '', resource: 'secrets', apiVersion: 'v1', kind: 'Secret' } as const;
const POD = { group: '', resource: 'pods', apiVersion: 'v1', kind: 'Pod' } as const;
const CONFIG_MAP = { group: '', resource: 'configmaps', apiVersion: 'v1', kind: 'ConfigMap' } as const;

const annotations = { 'example.com/owner': 'o', 'example.com/team': 't', 'kubernetes.io/ingress.class': 'c' };

function frameOf(type: string, kind: SchemaKind, version = '1', uid = 'u1'): Buffer {
  const managedFields = [{ manager: 'kubectl' }];
  const metadata = { name: 'x', uid, resourceVersion: version, annotations, managedFields };
  const data = kind === 'Pod' ? {} : { data: { key: kind === 'Secret' ? Buffer.from('confidential') : 'text' } };
  return encodeFrame(type, kind, encodeObject(kind, { metadata, ...data }));
}

const view = new FrameView();

function prunedFields(exporter: ExporterPruning, kind: typeof SECRET | typeof POD | typeof CONFIG_MAP): Fields {
  const frame = frameOf('ADDED', kind.kind);
  protobufCodec.readWhole(frame, view);
  return decodeFrame(prunerFor(exporter, [], kind, kind, 'protobuf')?.event('ADDED', view) ?? frame).object;
}

describe('what is pruned', () => {
  test('data of Secrets and ConfigMaps, annotations that are not allowed, and managedFields', () => {
    const identity = { name: 'x', uid: 'u1', resourceVersion: '1' };
    expect(prunedFields(EXPORTER, SECRET)).toEqual({ metadata: identity });
    const { 'example.com/owner': owner, 'example.com/team': team } = annotations;
    const ofPod = { ...identity, annotations: { 'example.com/owner': owner } };
    expect(prunedFields(EXPORTER, POD)).toEqual({ metadata: ofPod });
    const ofConfigMap = { ...identity, annotations: { 'example.com/owner': owner, 'example.com/team': team } };
    expect(prunedFields(EXPORTER, CONFIG_MAP)).toEqual({ metadata: ofConfigMap });
  });

  test('all annotations stay where the list says so for the kind, or for all kinds', () => {
    for (const resource of ['pods', '*']) {
      const annotationAllowList = new Map([[resource, ['*']]]);
      expect(prunedFields({ ...EXPORTER, annotationAllowList }, POD)).toMatchObject({ metadata: { annotations } });
    }
  });

  test('a pattern takes keys as kube-state-metrics does: prefix and suffix do not overlap', () => {
    const filter = new AnnotationFilter(['ab*ba', 'x', '*two*stars']);
    const kept = ['ab', 'aba', 'abba', 'ab-ba', 'x', 'xx', 'two', '1two2stars'].filter((key) =>
      filter.keeps(Buffer.from(key), 0, key.length),
    );
    expect(kept).toEqual(['abba', 'ab-ba', 'x']);
  });

  test('of an exporter of unknown version, only managedFields', () => {
    for (const version of [undefined, '3.0.0', '2.200.0', 'latest']) {
      const whole = prunedFields({ ...EXPORTER, version }, SECRET);
      expect(whole).toMatchObject({ metadata: { annotations }, data: { key: Buffer.from('confidential') } });
      expect(whole).not.toMatchObject({ metadata: { managedFields: expect.anything() } });
    }
  });

  test('nothing of kinds that custom-resource-state names, by kind or by group', () => {
    const widget = { group: 'example.com', resource: 'widgets', apiVersion: 'example.com/v1', kind: 'Widget' };
    const prunerOf = (kind: string, group: string): unknown =>
      prunerFor(EXPORTER, [{ kind, group }], widget, widget, 'json');
    expect(prunerOf('Widget', 'example.com')).toBeUndefined();
    expect(prunerOf('*', 'example.com')).toBeUndefined();
    expect(prunerOf('Gadget', 'example.com')).toBeDefined();
    expect(prunerOf('Widget', 'example.org')).toBeDefined();
  });
});
