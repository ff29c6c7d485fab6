export { type Clock, systemClock } from './clock.ts';
export {
  type Component,
  ComponentError,
  type ComponentErrorCode,
  type RunOptions,
  runComponents,
  task,
} from './component.ts';
export { ConfigError, type ConfigProblem, type Environment, env, parseConfig } from './config.ts';
export { DurationError, formatGoDuration, parseGoDuration } from './go-duration.ts';
export { LEAN_NODE_ENVIRONMENT } from './lean-node.ts';
export { EXIT, type MainOptions, runMain } from './main.ts';
