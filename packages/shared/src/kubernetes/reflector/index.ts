export type { Invalid, Parsed } from './object-cache.ts';
export { type ReflectorMetrics, reflectorMetrics } from './reflector-metrics.ts';
export { Reflector, type ReflectorHandler, type ReflectorOptions } from './reflector.ts';
export { type ResourceVersion, ResourceVersionError, compareResourceVersion } from './resource-version.ts';
