import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Logger } from '@shard-controller/shared/observability';

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

/** Thrown when the exporter's endpoint cannot listen. */
class ExporterApiListenError extends Error {
  override readonly name = 'ExporterApiListenError';
  readonly code = 'SC_EXPORTER_API_LISTEN';
}

/** Resolves with the port; what goes wrong later, such as too many open files, is logged. @throws ExporterApiListenError */
export async function listen(server: Server, host: string, port: number, logger: Logger): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) => {
      reject(
        new ExporterApiListenError(
          `the exporter's API endpoint cannot listen on ${host}:${port} (${cause.message}): free the port or set PROXY_PORT, and the exporter's --apiserver with it`,
          { cause },
        ),
      );
    });
    server.listen(port, host, resolve);
  });
  server.removeAllListeners('error');
  server.on('error', (err) => logger.error({ err }, "the exporter's API endpoint failed to take a connection"));
  return (server.address() as AddressInfo).port;
}
