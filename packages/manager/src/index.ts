export { loadManagerConfig, type ManagerConfig } from './config.ts';
