export { AssignmentKeeper, type AssignmentSource } from './assignment-keeper.ts';
export type { Refusal, Verdict } from './fence.ts';
export { followAssignments } from './nats-source.ts';
export { ShardInstanceSource } from './shard-instance-source.ts';
