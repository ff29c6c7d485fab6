export { type EventNote, EventRecorder, type EventRecorderOptions } from './event-recorder.ts';
