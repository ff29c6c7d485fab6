import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { structural, structuralSchema, StructuralSchemaError } from './structural-schema.ts';

function refusal(make: () => unknown): { path: string; message: string } {
  try {
    make();
  } catch (error) {
    if (error instanceof StructuralSchemaError) return { path: error.path, message: error.message };
    throw error;
  }
  throw new Error('nothing was refused');
}

const text = z.string().max(9);

describe('structuralSchema', () => {
  it('keeps bounds, defaults, enums and descriptions', () => {
    const schema = z.object({
      mode: z.enum(['A', 'B']).default('A').describe('How.'),
      level: z.number().gt(0).max(1),
      names: z.array(text).max(3),
      labels: z.record(z.string().max(5), text).meta({ maxProperties: 4 }),
      on: z.boolean().optional(),
    });
    expect(structuralSchema(schema)).toEqual({
      type: 'object',
      required: ['level', 'names', 'labels'],
      properties: {
        mode: { description: 'How.', type: 'string', default: 'A', enum: ['A', 'B'] },
        level: { type: 'number', minimum: 0, exclusiveMinimum: true, maximum: 1 },
        names: { type: 'array', maxItems: 3, items: { type: 'string', maxLength: 9 } },
        labels: { type: 'object', maxProperties: 4, additionalProperties: { type: 'string', maxLength: 9 } },
        on: { type: 'boolean' },
      },
    });
  });

  it('says how wide an integer is', () => {
    expect(structuralSchema(z.int().min(0).max(10))).toMatchObject({ type: 'integer', format: 'int32' });
    expect(structuralSchema(z.int().min(0).max(4294967295))).toMatchObject({ type: 'integer', format: 'int64' });
  });

  it('leaves times to the format, without the pattern of zod', () => {
    expect(structuralSchema(z.iso.datetime({ offset: true }))).toEqual({ type: 'string', format: 'date-time' });
  });

  it('keeps what a loose object holds', () => {
    expect(structuralSchema(z.looseObject({}))).toEqual({
      type: 'object',
      'x-kubernetes-preserve-unknown-fields': true,
    });
  });

  it('turns a union that is marked so into int-or-string', () => {
    const schema = z.union([z.int(), z.string()]).meta({ 'x-kubernetes-int-or-string': true, maxLength: 8 });
    expect(structuralSchema(schema)).toEqual({ 'x-kubernetes-int-or-string': true, maxLength: 8 });
  });

  it('passes rules on, also those of a schema with a default', () => {
    const rules = [{ rule: 'self > 1', message: 'm' }];
    const schema = z.int().min(0).max(9).meta({ 'x-kubernetes-validations': rules }).default(2);
    expect(structuralSchema(schema)).toMatchObject({ default: 2, 'x-kubernetes-validations': rules });
  });
});

describe('structuralSchema refuses', () => {
  const wrapped = (schema: z.ZodType): z.ZodType => z.object({ a: z.array(z.object({ b: schema })).max(2) });

  it.each([
    ['a string without a bound', z.string(), 'maxLength'],
    ['a list without a bound', z.array(text), 'maxItems'],
    ['a map without a bound', z.record(z.string(), text), 'maxProperties'],
    ['an integer without a lower bound', z.int().max(3), 'minimum'],
    ['a number without an upper bound', z.number().min(0), 'maximum'],
    ['a union', z.union([text, z.boolean()]), 'anyOf'],
    ['a discriminated union', z.discriminatedUnion('k', [z.object({ k: z.literal('x') })]), 'oneOf'],
    ['anything at all', z.unknown(), 'needs one type'],
    ['unknown fields beside known ones', z.looseObject({ known: text }), 'beside properties'],
    ['a strict object', z.strictObject({ known: text }), 'beside properties'],
    ['a keyword that CRDs do not have', text.meta({ examples: ['x'] }), 'examples'],
    [
      'a list map whose key may be absent',
      z
        .array(z.object({ name: text.optional() }))
        .max(2)
        .meta({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['name'] }),
      'list map key name',
    ],
    ['a list map without keys', z.array(z.object({})).max(2).meta({ 'x-kubernetes-list-type': 'map' }), 'map-keys'],
    [
      'an int-or-string without a bound',
      text.meta({ 'x-kubernetes-int-or-string': true, maxLength: undefined }),
      'maxLength',
    ],
  ])('%s, naming the place', (_what, schema, words) => {
    const { path, message } = refusal(() => structuralSchema(wrapped(schema), 'spec'));
    expect(path).toMatch(/^spec\.a\[\]\.b(\[\]|\{\})?$/);
    expect(message).toContain(words);
  });

  it('a recursive schema', () => {
    const tree = z.object({
      get children() {
        return z.array(tree).max(2);
      },
    });
    expect(() => structuralSchema(tree)).toThrow(/[Cc]ycle/);
  });

  it('references and required names without a property', () => {
    expect(refusal(() => structural({ $ref: '#/x' }, 'spec')).message).toContain('inline the schema');
    expect(refusal(() => structural({ allOf: [] }, 'spec')).message).toContain('optional members');
    const object = { type: 'object', required: ['b'], properties: { a: { type: 'boolean' } } };
    expect(refusal(() => structural(object, 'spec')).message).toContain('b, which is not a property');
  });
});
