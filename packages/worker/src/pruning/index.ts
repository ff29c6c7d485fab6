export { Pruner } from './pruner.ts';
export { unknownVersion } from './exporter-annotations.ts';
export { type CustomResourceKind, type ExporterPruning, prunerFor } from './exporter-pruning.ts';
