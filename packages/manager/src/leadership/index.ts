export { Leadership, type Term } from './leadership.ts';
