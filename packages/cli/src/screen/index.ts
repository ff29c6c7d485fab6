export { type Format, faint, green, type Output, parseFormat, red, show, yellow } from './output.ts';
export { type Column, table } from './table.ts';
export { age, bar, count, percent, seconds } from './units.ts';
