export { KsmScaleController } from './controller.ts';
export { KsmScaleMetrics } from './metrics.ts';
