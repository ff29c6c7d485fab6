export { type ManagerConfig, type WorkerSettings, loadManagerConfig } from './manager-config.ts';
