import { createServer, type RequestListener, type Server } from 'node:http';

/** Request line and headers of one request; selectors and continue tokens are the long ones. Bytes. */
const MAX_HEADER_BYTES = 64 * 1024;

/**
 * A server for exporters, which keep connections and watches open for as long as they live: one per kind and namespace,
 * which is thousands where namespaces are listed. It listens on the pod's loopback only, so they are not limited.
 */
export function newServer(handle: RequestListener): Server {
  const server = createServer({ maxHeaderSize: MAX_HEADER_BYTES }, handle);
  server.keepAliveTimeout = 0;
  server.requestTimeout = 0;
  server.timeout = 0;
  return server;
}
