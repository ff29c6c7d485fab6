export { LeaseElector, type LeaseElectorOptions, LeaseTimingError } from './lease-elector.ts';
