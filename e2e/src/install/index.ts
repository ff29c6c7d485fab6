export { grantKinds, install, installDefinitions } from './install.ts';
export { referenceExporterPod } from './reference-exporter.ts';
