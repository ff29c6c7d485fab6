import { describe, expect, test } from 'vitest';
import { acceptedForms, listForms } from './accept.ts';
import { isExporterForm, readQuery } from './read-query.ts';
import { pathOf, readRequestLine } from './request-line.ts';

describe('the request line', () => {
  test.each([
    ['/api/v1/pods', ['api', 'v1', 'pods']],
    ['/apis/', ['apis']],
    ['/', []],
    [
      '/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Anode',
      ['apis', 'rbac.authorization.k8s.io', 'v1', 'clusterroles', 'system:node'],
    ],
    ['/api/v1/pods?x=/../', ['api', 'v1', 'pods']],
  ])('%s is read', (target, segments) => {
    expect(readRequestLine(target)).toMatchObject({ type: 'ok', segments });
  });

  test.each([
    '//x/y',
    '/a//b',
    '/a/./b',
    '/a/%2e%2E/b',
    '/a/%2fb',
    '/a/b%5cc',
    '/a/%00',
    '/a/%',
    'http://x/a',
    '*',
    '',
    '/a/%3fb',
    '/a/%23b',
    '/a/%25',
  ])('%s is refused', (target) => {
    expect(readRequestLine(target).type).toBe('bad');
  });

  test('what is rewritten reads the same', () => {
    expect(readRequestLine(pathOf(['a b', 'ü:ö', "(x)'*!~"]))).toMatchObject({ segments: ['a b', 'ü:ö', "(x)'*!~"] });
  });
});

describe('Accept', () => {
  test.each([
    [undefined, 'application/json', ['Object']],
    ['*/*', 'application/json', ['Object']],
    [
      'application/vnd.kubernetes.protobuf,application/json',
      'application/vnd.kubernetes.protobuf,application/json',
      ['Object', 'Object'],
    ],
    [
      'application/json;as=Table;g=meta.k8s.io;v=v1, application/json',
      'application/json;as=Table;g=meta.k8s.io;v=v1,application/json',
      ['Table', 'Object'],
    ],
    [
      'application/json;q=0.1,application/vnd.kubernetes.protobuf;q=0.9',
      'application/vnd.kubernetes.protobuf,application/json',
      ['Object', 'Object'],
    ],
    ['application/json;stream=watch', 'application/json;stream=watch', ['Object']],
    ['application/yaml', '', []],
    ['application/cbor, application/json;q=0', '', []],
    ['application/json;as=Other;g=a;v=b', '', []],
    ['application/json;as=Table;g=a"b;v=v1', 'application/json;as=Table;v=v1', ['Table']],
  ])('%s', (accept, header, shapes) => {
    expect(acceptedForms(accept)).toEqual({ header, shapes });
  });

  test('a watch of metadata is listed as a list of metadata', () => {
    const form = 'application/json;as=PartialObjectMetadata;stream=watch';
    expect(listForms(form)).toBe('application/json;as=PartialObjectMetadataList');
    expect(listForms(listForms(form))).toBe(listForms(form));
  });
});

describe('the query', () => {
  const form = (text: string): boolean => isExporterForm(readQuery(new URLSearchParams(text)));

  test('is read as the API server reads it: the first of a name, and every flag but 0 and false is set', () => {
    expect(readQuery(new URLSearchParams('watch&limit=5&limit=6&evil=1&dryRun=All'))).toMatchObject({
      parameters: { watch: 'true', limit: '5' },
      isWatch: true,
    });
    for (const off of ['watch=0', 'watch=False', 'watch=false&watch=true', 'limit=1']) {
      expect(readQuery(new URLSearchParams(off)).isWatch).toBe(false);
    }
  });

  test.each([
    '',
    'resourceVersion=0&limit=500',
    'resourceVersion=7',
    'resourceVersion=7&resourceVersionMatch=NotOlderThan',
    'watch=true',
    'watch=true&resourceVersion=99999999999999999999999999',
    'watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion=7',
  ])('an exporter asks %j', (text) => expect(form(text)).toBe(true));

  test.each([
    'continue=x',
    'limit=x',
    'resourceVersion=07',
    'resourceVersion=abc',
    'resourceVersion=-1',
    'resourceVersionMatch=NotOlderThan',
    'resourceVersion=7&resourceVersionMatch=Exact',
    'sendInitialEvents=true',
    'watch=true&sendInitialEvents=true',
    'watch=true&sendInitialEvents=false',
    'watch=true&resourceVersionMatch=NotOlderThan&resourceVersion=7',
    'shardSelector=x',
  ])('%j is the API server’s to judge', (text) => expect(form(text)).toBe(false));
});
