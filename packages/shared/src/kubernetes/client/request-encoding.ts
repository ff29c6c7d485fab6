/** Parameters of a request; undefined ones are left out. */
export type Query = URLSearchParams | Readonly<Record<string, string | number | boolean | undefined>>;

/** Content type of server-side apply; JSON is YAML. */
export const APPLY = 'application/apply-patch+yaml';

/** Whether doing it twice is the same as doing it once. */
export function isIdempotent(method: string, contentType: string | undefined): boolean {
  if (method === 'PATCH') return contentType === APPLY;
  return ['GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS'].includes(method);
}

/** Bytes as they are, text as UTF-8, anything else as JSON. */
export function encodeBody(body: unknown): Uint8Array | undefined {
  if (body === undefined || body === null) return undefined;
  if (body instanceof Uint8Array) return body;
  return Buffer.from(typeof body === 'string' ? body : JSON.stringify(body), 'utf8');
}

/** Both sets of parameters; `more` wins. */
export function withQuery(query: Query | undefined, more: Exclude<Query, URLSearchParams>): URLSearchParams {
  const merged = new URLSearchParams(query instanceof URLSearchParams ? query : undefined);
  const entries = query instanceof URLSearchParams ? [] : Object.entries(query ?? {});
  for (const [name, value] of [...entries, ...Object.entries(more)]) {
    if (value !== undefined) merged.set(name, String(value));
  }
  return merged;
}

export function pathWithQuery(path: string, query: Query | undefined): string {
  const text = withQuery(query, {}).toString();
  if (text === '') return path;
  return `${path}${path.includes('?') ? '&' : '?'}${text}`;
}
