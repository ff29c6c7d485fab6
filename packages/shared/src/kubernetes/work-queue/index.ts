export { WorkQueue, WorkQueueError, type WorkQueueOptions } from './work-queue.ts';
