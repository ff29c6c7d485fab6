export { requireNamespace, sharedFolder } from './inside.ts';
export { exposeOutside, type OutsidePort } from './inside-ports.ts';
export { API_SERVER_ADDRESS, BRIDGE, BRIDGE_ADDRESS, NATS_ADDRESS, SUBNET_PREFIX } from './setup-script.ts';
