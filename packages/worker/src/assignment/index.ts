export { AssignmentKeeper, type AssignmentSource, type Outcome } from './assignment-keeper.ts';
export type { Refusal } from './fence.ts';
export { AssignmentNotices } from './nats-source.ts';
export { ShardInstanceSource } from './shard-instance-source.ts';
