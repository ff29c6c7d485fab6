export { generatedFiles } from './crds.ts';
