export type { Invalid, Parsed } from './object-cache.ts';
export { type ReflectorMetrics, reflectorMetrics } from './reflector-metrics.ts';
export { Reflector } from './reflector.ts';
export type { ReflectorHandler, ReflectorOptions } from './reflector-options.ts';
export { type ResourceVersion, ResourceVersionError, compareResourceVersion } from './resource-version.ts';
