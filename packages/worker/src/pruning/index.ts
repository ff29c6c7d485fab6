export { Diet } from './diet.ts';
export { unknownVersion } from './exporter-annotations.ts';
export { type CustomResourceKind, type ExporterDiet, exporterDiet } from './exporter-diet.ts';
