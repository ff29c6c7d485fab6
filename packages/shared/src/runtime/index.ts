export { aborted } from './aborted.ts';
export { Backoff, type BackoffOptions, fullJitter } from './backoff.ts';
export { type Clock, systemClock } from './clock.ts';
export {
  type Component,
  ComponentError,
  type ComponentErrorCode,
  runComponents,
  type RunOptions,
  task,
} from './component.ts';
export { ConfigError, type ConfigProblem, env, type Environment, parseConfig } from './config.ts';
export { DurationError, formatGoDuration, parseGoDuration } from './go-duration.ts';
export { errorCode, errorMessage } from './error-text.ts';
export { isRecord } from './is-record.ts';
export { LEAN_NODE_ENVIRONMENT } from './lean-node.ts';
export { EXIT, type MainOptions, runMain } from './main.ts';
export { Semaphore } from './semaphore.ts';
export { Wakeup } from './wakeup.ts';
