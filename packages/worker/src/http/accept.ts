/** What shape a client wants its objects in. */
type ObjectShape = 'Object' | 'Table' | 'PartialObjectMetadata';

/** What a client takes, cut down to what can be filtered here: JSON and protobuf. */
export interface AcceptedForms {
  /** For the request to the API server; empty when nothing is left. */
  readonly header: string;
  /** Shapes in order of preference. */
  readonly shapes: readonly ObjectShape[];
}

interface Range {
  readonly type: string;
  readonly parameters: string;
  readonly shape: ObjectShape;
  readonly quality: number;
}

const PROTOBUF = 'application/vnd.kubernetes.protobuf';
const JSON_TYPE = 'application/json';

/**
 * Reads an Accept header (RFC 9110 12.5.1; apiserver: negotiation). Ranges that cannot be filtered (YAML, CBOR, other
 * conversions) are left out, so that the API server cannot choose them.
 */
export function acceptedForms(accept: string | undefined): AcceptedForms {
  const ranges = (accept === undefined || accept.trim() === '' ? JSON_TYPE : accept)
    .split(',')
    .flatMap(rangeOf)
    .toSorted((a, b) => b.quality - a.quality);
  return {
    header: ranges.map(({ type, parameters }) => `${type}${parameters}`).join(','),
    shapes: ranges.map(({ shape }) => shape),
  };
}

function rangeOf(text: string): Range[] {
  const [given = '', ...rest] = text.split(';').map((part) => part.trim());
  const type = given === '*/*' || given === 'application/*' ? JSON_TYPE : given.toLowerCase();
  if (type !== JSON_TYPE && type !== PROTOBUF) return [];
  let quality = 1;
  let shape: ObjectShape = 'Object';
  let parameters = '';
  for (const parameter of rest) {
    const [name = '', value = ''] = parameter.split('=', 2);
    if (name === 'q') quality = Number(value);
    else if (name === 'as') {
      const known = shapeOf(value);
      if (known === undefined) return [];
      shape = known;
      parameters += `;as=${value}`;
    } else if ((name === 'g' || name === 'v') && /^[a-z0-9.]+$/.test(value)) parameters += `;${name}=${value}`;
    else if (name === 'stream' && value === 'watch') parameters += ';stream=watch';
  }
  if (!(quality > 0)) return [];
  return [{ type, parameters, shape, quality }];
}

function shapeOf(as: string): ObjectShape | undefined {
  if (as === 'Table') return 'Table';
  return as === 'PartialObjectMetadata' || as === 'PartialObjectMetadataList' ? 'PartialObjectMetadata' : undefined;
}

/** The same forms for a list, where they were for a watch: `PartialObjectMetadata` is called otherwise there. */
export function listForms(header: string): string {
  return header
    .replaceAll(/as=PartialObjectMetadata(?!List)/g, 'as=PartialObjectMetadataList')
    .replaceAll(';stream=watch', '');
}
