export { grantKinds, install } from './install.ts';
export { referenceExporterPod } from './reference-exporter.ts';
