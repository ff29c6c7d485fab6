import { eachElement, eachMember, type FrameView, isKey, readJsonMeta } from '../wire/index.ts';

/**
 * Tables as the API server prints them for kubectl (meta.k8s.io/v1 Table, JSON only): one row per object, with the
 * object's metadata beside the cells.
 */

/** Reads the metadata of a row's object into `view`; the view's object stays the row. */
export function readRow(bytes: Buffer, start: number, end: number, view: FrameView): void {
  const { objectStart, objectEnd } = view;
  eachMember(bytes, start, end, (keyStart, keyEnd, valueStart, valueEnd) => {
    if (isKey(bytes, keyStart, keyEnd, 'object') && bytes[valueStart] === 0x7b) {
      readJsonMeta(bytes, valueStart, valueEnd, view);
    }
  });
  view.objectStart = objectStart;
  view.objectEnd = objectEnd;
}

/** A row without its object, as `includeObject=None` asks for. */
export function withoutObject(bytes: Buffer, start: number, end: number): Buffer {
  const members: string[] = [];
  eachMember(bytes, start, end, (keyStart, keyEnd, valueStart, valueEnd) => {
    const key = bytes.toString('utf8', keyStart, keyEnd);
    const value = key === 'object' ? 'null' : bytes.toString('utf8', valueStart, valueEnd);
    members.push(`"${key}":${value}`);
  });
  return Buffer.from(`{${members.join(',')}}`);
}

/** Where the parts of a table lie in its buffer. */
export interface TableView {
  /** Rows as they lie in the buffer: start, end, start, end … */
  readonly rows: readonly number[];
  readonly rowsStart: number;
  readonly rowsEnd: number;
  /** Where the column definitions lie; equal when there are none (later events of a watch leave them out). */
  readonly columnsStart: number;
  readonly columnsEnd: number;
}

/** Takes the JSON object in `bytes[start, end)` apart; undefined when it is no Table. */
export function readTable(bytes: Buffer, start: number, end: number): TableView | undefined {
  let isTable = false;
  let isMeta = false;
  let rowsStart = 0;
  let rowsEnd = 0;
  let columnsStart = 0;
  let columnsEnd = 0;
  const rows: number[] = [];
  eachMember(bytes, start, end, (keyStart, keyEnd, valueStart, valueEnd) => {
    switch (bytes.toString('latin1', keyStart, keyEnd)) {
      case 'kind':
        isTable = bytes.toString('latin1', valueStart + 1, valueEnd - 1) === 'Table';
        break;
      case 'apiVersion':
        isMeta = bytes.toString('latin1', valueStart + 1, valueEnd - 1).startsWith('meta.k8s.io/');
        break;
      case 'columnDefinitions':
        if (bytes[valueStart] !== 0x5b) break;
        columnsStart = valueStart;
        columnsEnd = valueEnd;
        break;
      case 'rows':
        rowsStart = valueStart;
        rowsEnd = valueEnd;
        eachElement(bytes, valueStart, valueEnd, (from, to) => rows.push(from, to));
        break;
      default:
    }
  });
  return isTable && isMeta ? { rows, rowsStart, rowsEnd, columnsStart, columnsEnd } : undefined;
}

/** The parts of a table of a watch event, from which it is rewritten. */
export interface TableParts {
  readonly resourceVersion: string;
  /** JSON; `null` when the client has them already. */
  readonly columns: Uint8Array;
  readonly rows: readonly Uint8Array[];
}

export const NO_COLUMNS = Buffer.from('null');

export function writeTable({ resourceVersion, columns, rows }: TableParts): Buffer {
  const metadata = JSON.stringify({ resourceVersion });
  const parts: Uint8Array[] = [
    Buffer.from(`{"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":${metadata},"columnDefinitions":`),
    columns,
    Buffer.from(',"rows":['),
  ];
  for (const [i, row] of rows.entries()) {
    if (i > 0) parts.push(Buffer.from(','));
    parts.push(row);
  }
  parts.push(Buffer.from(']}'));
  return Buffer.concat(parts);
}

/** A whole body that is a table, with its rows' objects left out. */
export function tableWithoutObjects(body: Buffer, table: TableView): Buffer {
  const rows: Buffer[] = [];
  for (let i = 0; i < table.rows.length; i += 2) {
    if (i > 0) rows.push(Buffer.from(','));
    rows.push(withoutObject(body, table.rows[i] as number, table.rows[i + 1] as number));
  }
  if (rows.length === 0) return body;
  const [open, close] = [Buffer.from('['), Buffer.from(']')];
  return Buffer.concat([body.subarray(0, table.rowsStart), open, ...rows, close, body.subarray(table.rowsEnd)]);
}
