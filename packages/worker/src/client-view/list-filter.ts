import type { Exposure } from '../slots/index.ts';
import { FrameView, readJsonMeta, readProtobufMeta, type WireEncoding } from '../wire/index.ts';
import { JsonListFilter } from './json-list-filter.ts';
import type { ListFilter, ListItemTest, ListMetadata } from './list-item.ts';
import { ProtobufListFilter } from './protobuf-list-filter.ts';
import { readRow, withoutObject } from './table.ts';

export interface ListShape {
  readonly encoding: WireEncoding;
  /** Rows of a Table go to the client without their objects. */
  readonly leavesObjectsOut: boolean;
}

/** Calls `item` with each item of a list; returns how to cut the list to those for which it gave bytes. */
export function listFilter(
  shape: ListShape,
  item: (view: FrameView, isRow: boolean) => boolean,
  found: ListMetadata,
  keepsCount: boolean,
): ListFilter {
  const view = new FrameView();
  const isProtobuf = shape.encoding === 'protobuf';
  const test: ListItemTest = (bytes, start, end, isRow = false) => {
    view.clear(bytes);
    view.objectStart = start;
    view.objectEnd = end;
    if (isProtobuf) readProtobufMeta(bytes, start, end, view);
    else if (isRow) readRow(bytes, start, end, view);
    else readJsonMeta(bytes, start, end, view);
    if (!item(view, isRow)) return undefined;
    return isRow && shape.leavesObjectsOut ? withoutObject(bytes, start, end) : bytes.subarray(start, end);
  };
  if (isProtobuf) return new ProtobufListFilter(test, found, keepsCount);
  return new JsonListFilter(test, (text) => editMetadata(text, found, keepsCount));
}

/** A list of the shown objects only. The number of remaining objects is kept only when nothing is left out; otherwise it is unknown. */
export function exposureFilter(shape: ListShape, exposure: Exposure, found: ListMetadata): ListFilter {
  return listFilter(shape, (view) => exposure.shows(view), found, exposure.isWhole);
}

function editMetadata(text: string, found: ListMetadata, keepsCount: boolean): string {
  const parsed: unknown = JSON.parse(text);
  if (typeof parsed !== 'object' || parsed === null) return text;
  if ('resourceVersion' in parsed && typeof parsed.resourceVersion === 'string') {
    found.resourceVersion = parsed.resourceVersion;
  }
  if ('continue' in parsed && typeof parsed.continue === 'string') found.continueToken = parsed.continue;
  if (keepsCount) return text;
  const { remainingItemCount: _, ...metadata } = parsed as { remainingItemCount?: unknown };
  return JSON.stringify(metadata);
}
