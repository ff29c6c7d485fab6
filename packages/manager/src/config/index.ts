export { type ManagerConfig, type WorkerNats, type WorkerSettings, loadManagerConfig } from './manager-config.ts';
