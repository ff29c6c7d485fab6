import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseKsmScale, parseShardConfig, parseShardInstance } from '@shard-controller/shared/api';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { type CelRule, CrdFixture, objectOf, readCrds, rulesOf } from './crd-fixture.ts';
import { type Fields, type Kind, RULE_CASES, type RuleCase, SCHEMA_CASES } from './crd-rule-cases.ts';
import { KSM_SCALE_CASES, KSM_SCALE_SCHEMA_CASES } from './ksm-scale-cases.ts';

const RULES = readCrds().flatMap(rulesOf);
const DURATION = /^duration\(self\) >= duration\('([^']+)'\) && duration\(self\) <= duration\('([^']+)'\)$/;

/** Duration bounds stand in many places and are always tried in the same way. */
function durationCase({ kind, at, rule, message }: CelRule): RuleCase | undefined {
  const [, , max] = DURATION.exec(rule) ?? [];
  if (max === undefined) return undefined;
  const nested = (value: string): Fields => {
    const [leaf = '', ...outer] = at.split('.').slice(1).toReversed();
    return outer.reduce<Fields>((inner, name) => ({ [name]: inner }), { [leaf]: value });
  };
  return { kind, at, message, accepted: nested(max), rejected: nested('9999h') };
}

const cases = [...RULE_CASES, ...KSM_SCALE_CASES, ...RULES.map(durationCase).filter((one) => one !== undefined)];
const parsers = { ShardConfig: parseShardConfig, ShardInstance: parseShardInstance, KSMScale: parseKsmScale };
const AS_SENT = { uid: '3b241101-e2bb-4255-8caf-4136c566a962', resourceVersion: '1' };

/** Whether our own parse takes the object, once it has what the API server adds. */
function isParsed(kind: Kind, object: Fields): boolean {
  const metadata = { ...z.looseObject({}).parse(object['metadata']), ...AS_SENT };
  return parsers[kind]({ ...object, metadata }).ok;
}

let fixture: CrdFixture;

beforeAll(async () => {
  fixture = await CrdFixture.start();
});

afterAll(async () => {
  await fixture?.stop();
});

describe('the CRDs on a real API server', () => {
  it.each(readCrds().map((crd) => crd.metadata.name))('%s is established and structural', async (name) => {
    const { status } = await fixture.crd(name);
    const conditions = new Map(status?.conditions.map((condition) => [condition.type, condition.status]));
    expect(conditions.get('Established')).toBe('True');
    expect(conditions.get('NamesAccepted')).toBe('True');
    expect(conditions.has('NonStructuralSchema')).toBe(false);
  });

  it('has a case for each rule of the CRDs, and no case for a rule that is gone', () => {
    const key = (one: { kind: string; at: string; message: string }): string => `${one.kind} ${one.at}: ${one.message}`;
    expect(cases.map(key).toSorted()).toEqual(RULES.map(key).toSorted());
  });
});

const seeded = cases.map((one, index) => ({ ...one, seed: `case-${index}` }));
const stateless = seeded.filter(({ before }) => before === undefined);
const transitions = seeded.flatMap(({ before, ...one }) => (before === undefined ? [] : [{ ...one, before }]));

describe.each(stateless)('$kind $at: $message', ({ kind, message, accepted, rejected, names, seed }) => {
  it('is kept by the one object and broken by the other', async () => {
    const good = objectOf(kind, seed, accepted, names?.accepted);
    const taken = await fixture.request('POST', fixture.path(kind), { body: good });
    expect(taken).toMatchObject({ status: 201, message: '' });

    const bad = objectOf(kind, `${seed}-bad`, rejected, names?.rejected);
    const refused = await fixture.request('POST', fixture.path(kind), { body: bad });
    expect(refused.status).toBe(422);
    expect(refused.message).toContain(message);

    expect(isParsed(kind, good)).toBe(true);
    expect(isParsed(kind, bad)).toBe(false);
  });
});

describe.each(transitions)('$kind $at: $message', ({ kind, message, before, accepted, rejected, seed }) => {
  it('is kept by the one change and broken by the other', async () => {
    const created = await fixture.request('POST', fixture.path(kind), { body: objectOf(kind, seed, before) });
    expect(created).toMatchObject({ status: 201, message: '' });
    const { name } = z.object({ name: z.string() }).parse(created.body.metadata);
    const change = (spec: Fields) =>
      fixture.request('PATCH', fixture.path(kind, name), {
        contentType: 'application/merge-patch+json',
        body: { spec },
      });

    const refused = await change(rejected);
    expect(refused.status).toBe(422);
    expect(refused.message).toContain(message);
    expect(await change(accepted)).toMatchObject({ status: 200, message: '' });
  });
});

describe.each([...SCHEMA_CASES, ...KSM_SCALE_SCHEMA_CASES].map((one, index) => ({ ...one, seed: `schema-${index}` })))(
  '$name in a $kind',
  ({ kind, accepted, rejected, answer, seed }) => {
    it('is refused with the field', async () => {
      const good = objectOf(kind, seed, accepted);
      expect(await fixture.request('POST', fixture.path(kind), { body: good })).toMatchObject({ status: 201 });

      const bad = objectOf(kind, `${seed}-bad`, rejected);
      const refused = await fixture.request('POST', fixture.path(kind), { body: bad });
      expect(refused.status).toBe(422);
      expect(refused.message).toContain(answer);
    });
  },
);

describe('defaults', () => {
  it('are the same in the API server and in the parse', async () => {
    const object = objectOf('ShardConfig', 'defaults', {});
    const { body } = await fixture.request('POST', fixture.path('ShardConfig'), { body: object });
    const parsed = parseShardConfig({ ...object, metadata: { name: 'defaults', namespace: 'default', ...AS_SENT } });
    expect(parsed).toMatchObject({ ok: true });
    expect(parsed.ok && parsed.value.spec).toEqual(body['spec']);
    const scale = objectOf('KSMScale', 'defaults', { sharding: {} });
    const stored = await fixture.request('POST', fixture.path('KSMScale'), { body: scale });
    const read = parseKsmScale({ ...scale, metadata: { name: 'defaults', ...AS_SENT } });
    expect(read.ok && read.value.spec).toEqual(stored.body['spec']);
    // What the server sends is also what the parse takes, unchanged.
    const again = parseShardConfig(body);
    expect(again.ok && again.value).toEqual(body);
  });
});

describe('the scale subresource', () => {
  const scale = async (method: 'GET' | 'PATCH', replicas?: number) =>
    fixture.request(method, fixture.path('ShardConfig', 'scaled', 'scale'), {
      ...(replicas === undefined ? {} : { body: { spec: { replicas } } }),
      contentType: 'application/merge-patch+json',
    });

  it('reads and sets the shards of mode Manual, within minShards and maxShards', async () => {
    const object = objectOf('ShardConfig', 'scaled', { mode: 'Manual', shards: 3, maxShards: 6 });
    await fixture.request('POST', fixture.path('ShardConfig'), { body: object });
    await fixture.request('PATCH', fixture.path('ShardConfig', 'scaled', 'status'), {
      contentType: 'application/merge-patch+json',
      body: { status: { shards: 3, selector: 'shard.io/config=scaled' } },
    });

    expect((await scale('GET')).body).toMatchObject({
      spec: { replicas: 3 },
      status: { replicas: 3, selector: 'shard.io/config=scaled' },
    });
    expect((await scale('PATCH', 6)).status).toBe(200);
    const refused = await scale('PATCH', 7);
    expect(refused.status).toBe(422);
    expect(refused.message).toContain('in mode Manual shards must be from minShards to maxShards');
    const { body } = await fixture.request('GET', fixture.path('ShardConfig', 'scaled'));
    expect(body).toMatchObject({ spec: { shards: 6 } });
  });
});

describe('the scale subresource of a KSMScale', () => {
  it('sets the wanted pods, and shows those that run', async () => {
    const path = fixture.path('KSMScale', 'scaled', 'scale');
    await fixture.request('POST', fixture.path('KSMScale'), { body: objectOf('KSMScale', 'scaled', { replicas: 2 }) });
    await fixture.request('PATCH', fixture.path('KSMScale', 'scaled', 'status'), {
      contentType: 'application/merge-patch+json',
      body: { status: { currentReplicas: 2, selector: 'ksmscale.example.com=scaled' } },
    });
    expect((await fixture.request('GET', path)).body).toMatchObject({
      spec: { replicas: 2 },
      status: { replicas: 2, selector: 'ksmscale.example.com=scaled' },
    });
    const options = { contentType: 'application/merge-patch+json', body: { spec: { replicas: 4 } } };
    expect((await fixture.request('PATCH', path, options)).status).toBe(200);
    const { body } = await fixture.request('GET', fixture.path('KSMScale', 'scaled'));
    expect(body).toMatchObject({ spec: { replicas: 4, nodesPerMonitor: 15 } });
  });
});

describe('the examples of KSMScales', () => {
  const folder = join(import.meta.dirname, '../../../examples/ksmscale');
  const files = readdirSync(folder).filter((name) => name.endsWith('.yaml'));

  it.each(files)('%s is taken', async (file) => {
    const body = parse(readFileSync(join(folder, file), 'utf8'));
    expect(await fixture.request('POST', fixture.path('KSMScale'), { body })).toMatchObject({
      status: 201,
      message: '',
    });
  });
});

describe('a KSMScale without a spec', () => {
  it('is one with all defaults', async () => {
    const { spec: _none, ...object } = objectOf('KSMScale', 'empty', {});
    const { body, status } = await fixture.request('POST', fixture.path('KSMScale'), { body: object });
    expect(status).toBe(201);
    expect(body).toMatchObject({ spec: { nodesPerMonitor: 15, namespace: 'monitoring' } });
    expect(parseKsmScale(body)).toMatchObject({ ok: true });
  });
});

describe('the status of a ShardInstance', () => {
  const applyReplica = (replica: 'a' | 'b', fields: Fields) =>
    fixture.request(
      'PATCH',
      `${fixture.path('ShardInstance', 'shared-shard-000', 'status')}?fieldManager=worker-${replica}`,
      {
        contentType: 'application/apply-patch+yaml',
        body: {
          apiVersion: 'shard.io/v1',
          kind: 'ShardInstance',
          metadata: { name: 'shared-shard-000', namespace: 'default' },
          status: { replicas: [{ replica, ...fields }] },
        },
      },
    );

  it('takes an entry from each worker, and neither touches the other', async () => {
    await fixture.request('POST', fixture.path('ShardInstance'), { body: objectOf('ShardInstance', 'shared', {}) });
    const time = '2026-01-15T10:30:00.123Z';
    expect(await applyReplica('a', { phase: 'Running', load: 0.65, lastHeartbeat: time })).toMatchObject({
      status: 200,
    });
    expect(await applyReplica('b', { phase: 'Warming' })).toMatchObject({ status: 200 });
    const { body, status } = await applyReplica('a', { phase: 'Draining', assignedResources: ['pods: 1234'] });

    expect(status).toBe(200);
    expect(body).toMatchObject({
      status: {
        replicas: [
          { replica: 'a', phase: 'Draining', assignedResources: ['pods: 1234'] },
          { replica: 'b', phase: 'Warming' },
        ],
      },
    });
    expect(parseShardInstance(body)).toMatchObject({ ok: true });
  });

  it('refuses a phase that does not exist', async () => {
    const answer = await applyReplica('a', { phase: 'Sleeping' });
    expect(answer.status).toBe(422);
    expect(answer.message).toContain('status.replicas[0].phase');
  });
});

describe('kubectl get', () => {
  const tableSchema = z.object({
    columnDefinitions: z.array(z.looseObject({ name: z.string(), priority: z.number() })),
    rows: z.array(z.object({ cells: z.array(z.unknown()) })),
  });

  it('shows the figures of a ShardConfig in columns', async () => {
    const object = objectOf('ShardConfig', 'columns', { mode: 'Manual', shards: 4 });
    await fixture.request('POST', fixture.path('ShardConfig'), { body: object });
    const patched = await fixture.request('PATCH', fixture.path('ShardConfig', 'columns', 'status'), {
      contentType: 'application/merge-patch+json',
      body: {
        status: {
          shards: 4,
          readyShards: 3,
          desiredShards: 4,
          load: 0.5,
          conditions: [
            {
              type: 'Ready',
              status: 'False',
              reason: 'ShardsMissing',
              message: 'shard-003 does not serve',
              lastTransitionTime: '2026-01-15T10:30:00Z',
            },
          ],
        },
      },
    });
    expect(patched).toMatchObject({ status: 200 });
    const { body } = await fixture.request('GET', fixture.path('ShardConfig', 'columns'), {
      accept: 'application/json;as=Table;g=meta.k8s.io;v=v1',
    });
    const { columnDefinitions, rows } = tableSchema.parse(body);
    const shown = Object.fromEntries(columnDefinitions.map(({ name }, index) => [name, rows[0]?.cells[index]]));
    expect(shown).toMatchObject({ Name: 'columns', Mode: 'Manual', Shards: 4, Ready: 3, Desired: 4, Load: 0.5 });
    expect(shown).toMatchObject({ Healthy: 'False', Strategy: 'consistent-hash' });
  });

  it('shows the figures of a KSMScale in columns, in their order', async () => {
    await fixture.request('POST', fixture.path('KSMScale'), { body: objectOf('KSMScale', 'columns', {}) });
    const patched = await fixture.request('PATCH', fixture.path('KSMScale', 'columns', 'status'), {
      contentType: 'application/merge-patch+json',
      body: { status: { nodeCount: 75, desiredReplicas: 5, currentReplicas: 4, phase: 'Scaling' } },
    });
    expect(patched).toMatchObject({ status: 200 });
    const { body } = await fixture.request('GET', fixture.path('KSMScale', 'columns'), {
      accept: 'application/json;as=Table;g=meta.k8s.io;v=v1',
    });
    const { columnDefinitions, rows } = tableSchema.parse(body);
    const shown = columnDefinitions.map(({ name }, index) => [name, rows[0]?.cells[index]]).slice(0, 5);
    expect(shown).toEqual([
      ['Name', 'columns'],
      ['Nodes', 75],
      ['Desired', 5],
      ['Current', 4],
      ['Phase', 'Scaling'],
    ]);
    expect(columnDefinitions.filter(({ priority }) => priority === 0).at(-1)?.name).toBe('Age');
  });

  it('knows both kinds by their short names', async () => {
    const { body } = await fixture.request('GET', '/apis/shard.io/v1');
    const resources = z.object({ resources: z.array(z.looseObject({ name: z.string() })) }).parse(body).resources;
    const short = Object.fromEntries(resources.map(({ name, shortNames }) => [name, shortNames]));
    expect(short).toMatchObject({ shardconfigs: ['shc'], shardinstances: ['shi'] });
  });
});
