export { ChangeDetector } from './change-detector.ts';
export type { WorkerSnapshot } from './heartbeat.ts';
export { HeartbeatSource } from './heartbeat-source.ts';
export type { Capacity } from './load-ratio.ts';
export { type HeartbeatOutcome, NatsPresence } from './nats-presence.ts';
export { NatsProof } from './nats-proof.ts';
export { Pacemaker } from './pacemaker.ts';
export { showedEverything, unavailableIn } from './shard-instance-status.ts';
export { StatusWriter } from './status-writer.ts';
