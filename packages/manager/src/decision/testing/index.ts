export { ModelWorld, testSettings } from './model-world.ts';
