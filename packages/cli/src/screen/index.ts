export { faint, green, type Output, parseFormat, red, show, yellow } from './output.ts';
export { table } from './table.ts';
export { age, bar, count, percent, seconds } from './units.ts';
