export { type AcceptedForms, acceptedForms, listForms } from './accept.ts';
export { gzipInto, takesGzip } from './gzip.ts';
export { newServer } from './listener.ts';
export { holdsNothing, isExporterForm, type ReadQuery, readQuery } from './read-query.ts';
export { pathOf, readRequestLine } from './request-line.ts';
export { sendStatus } from './status-object.ts';
