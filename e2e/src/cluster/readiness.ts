import { existsSync, readFileSync } from 'node:fs';
import { get as httpGet } from 'node:http';
import { get as httpsGet } from 'node:https';

/** True if a plain GET answers 200 within five seconds. */
export function answersHttp(url: string): () => Promise<boolean> {
  return () =>
    new Promise((resolve) => {
      const request = httpGet(url, { agent: false, timeout: 5000 }, (response) => {
        response.resume();
        resolve(response.statusCode === 200);
      });
      request.on('timeout', () => request.destroy());
      request.on('error', () => resolve(false));
    });
}

/** The same over TLS; `caFile` may not be there yet (the API server makes its own certificate when it starts). */
export function answersHttps(url: string, caFile?: string, token?: string): () => Promise<boolean> {
  return () =>
    new Promise((resolve) => {
      if (caFile !== undefined && !existsSync(caFile)) return resolve(false);
      const trust = caFile === undefined ? { rejectUnauthorized: false } : { ca: readFileSync(caFile) };
      const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
      const request = httpsGet(url, { ...trust, headers, agent: false, timeout: 5000 }, (response) => {
        response.resume();
        resolve(response.statusCode === 200);
      });
      request.on('timeout', () => request.destroy());
      request.on('error', () => resolve(false));
    });
}
