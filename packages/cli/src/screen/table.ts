/** Columns of text, as kubectl prints them. */

export interface Column<T> {
  readonly title: string;
  readonly text: (row: T) => string;
  /** Cut to what is left of the line when it does not fit; the last column only. */
  readonly cut?: boolean;
}

const GAP = 3;
// Colours take no room.
// oxlint-disable-next-line no-control-regex
const COLOURS = /\u001b\[[0-9;]*m/g;
const widthOf = (text: string): number => text.replaceAll(COLOURS, '').length;

/** @param width of the terminal; undefined when nothing has to fit */
export function table<T>(rows: readonly T[], columns: readonly Column<T>[], width?: number): string {
  const cells = [columns.map(({ title }) => title), ...rows.map((row) => columns.map(({ text }) => text(row)))];
  const widths = columns.map((_, i) => Math.max(...cells.map((line) => widthOf(line[i] ?? ''))));
  return cells
    .map((line) => {
      let used = 0;
      const texts = line.map((cell, i) => {
        const isLast = i === columns.length - 1;
        const room = width === undefined ? Number.POSITIVE_INFINITY : Math.max(10, width - used);
        const text = columns[i]?.cut === true && widthOf(cell) > room ? `${cell.slice(0, room - 1)}…` : cell;
        used += (widths[i] ?? 0) + GAP;
        return isLast ? text : text + ' '.repeat((widths[i] ?? 0) - widthOf(text) + GAP);
      });
      return texts.join('').trimEnd();
    })
    .join('\n');
}
