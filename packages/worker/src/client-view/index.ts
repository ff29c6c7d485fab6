export { SlotView, type ViewRequest } from './slot-view.ts';
