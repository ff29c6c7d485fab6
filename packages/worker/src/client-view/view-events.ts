import type { ResourceVersion } from '@shard-controller/shared/kubernetes';
import type { FrameCodec, FrameView, ObjectIdentity, ObjectKind, WatchEventType } from '../wire/index.ts';
import { NO_COLUMNS, readRow, readTable, withoutObject, writeTable } from './table.ts';

/** Writes the events of one client's watch in the shape that the client asked for. */
export class ViewEvents {
  readonly codec: FrameCodec;
  readonly #kind: ObjectKind;
  readonly #leavesObjectsOut: boolean;
  /** Column definitions come only with the first event of a watch, whichever shard owns the object. */
  #columns: Buffer | undefined;
  #columnsSent = false;

  constructor(codec: FrameCodec, kind: ObjectKind, leavesObjectsOut: boolean) {
    this.codec = codec;
    this.#kind = kind;
    this.#leavesObjectsOut = leavesObjectsOut;
  }

  /** Reads a frame's metadata; those of a Table's object are in its row. Throws WireFormatError. */
  read(bytes: Buffer, start: number, end: number, view: FrameView): void {
    this.codec.readFrame(bytes, start, end, view);
    if (this.codec.encoding === 'protobuf' || view.type === 'ERROR') return;
    const table = readTable(bytes, view.objectStart, view.objectEnd);
    if (table === undefined) return;
    if (table.columnsEnd > 0) this.#columns ??= Buffer.from(bytes.subarray(table.columnsStart, table.columnsEnd));
    const [rowStart, rowEnd] = table.rows;
    if (rowStart !== undefined && rowEnd !== undefined) readRow(bytes, rowStart, rowEnd, view);
  }

  /** The frame for the client; most go as they came. */
  forward(view: FrameView, wireStart: number, wireEnd: number): Uint8Array {
    const asItCame = view.bytes.subarray(wireStart, wireEnd);
    if (this.codec.encoding === 'protobuf' || view.type === 'ERROR') return asItCame;
    const needsColumns = !this.#columnsSent && this.#columns !== undefined;
    if (!needsColumns && !this.#leavesObjectsOut) return asItCame;
    const table = readTable(view.bytes, view.objectStart, view.objectEnd);
    if (table === undefined) return asItCame;
    if (table.columnsEnd > 0 && !this.#leavesObjectsOut) {
      this.#columnsSent = true;
      return asItCame;
    }
    const rows: Uint8Array[] = [];
    for (let i = 0; i < table.rows.length; i += 2) {
      rows.push(this.#row(view.bytes, table.rows[i] as number, table.rows[i + 1] as number));
    }
    return this.#table(view.type, rows, view.resourceVersion());
  }

  /** An event for an object that came in a list: an item as it was there, or a row. */
  made(type: 'ADDED' | 'DELETED', view: FrameView, isRow: boolean, position: ResourceVersion): Uint8Array {
    const item = view.bytes.subarray(view.objectStart, view.objectEnd);
    if (isRow) {
      return this.#table(type, [this.#row(view.bytes, view.objectStart, view.objectEnd)], view.resourceVersion());
    }
    if (type === 'DELETED') return this.codec.deleted(this.#kind, identityOf(view), position);
    return this.codec.event(type, this.#kind, item);
  }

  bookmark(position: ResourceVersion, isTable: boolean): Uint8Array {
    if (isTable) return this.#table('BOOKMARK', [], position);
    return this.codec.bookmark(this.#kind, position, false);
  }

  #table(type: WatchEventType, rows: readonly Uint8Array[], resourceVersion: ResourceVersion): Buffer {
    const columns = this.#columnsSent ? NO_COLUMNS : (this.#columns ?? NO_COLUMNS);
    this.#columnsSent ||= this.#columns !== undefined;
    return this.codec.event(type, this.#kind, writeTable({ resourceVersion, columns, rows }));
  }

  #row(bytes: Buffer, start: number, end: number): Buffer {
    return this.#leavesObjectsOut ? withoutObject(bytes, start, end) : bytes.subarray(start, end);
  }
}

function identityOf(view: FrameView): ObjectIdentity {
  return { uid: view.uid(), namespace: view.namespace(), name: view.name() };
}
