/** Path and query of a request, with one meaning only: what is checked here is what goes to the API server. */
export type RequestLine =
  | { readonly type: 'ok'; readonly segments: readonly string[]; readonly query: URLSearchParams }
  | { readonly type: 'bad'; readonly message: string };

/** A segment that a server might read as a way up, as two segments, or as the end of the text. */
const DECEPTIVE = /^\.{1,2}$|[/\\%?#]|\p{Cc}/u;

/**
 * Takes a request target apart. Only the origin form of a canonical path is read: an absolute URL, an empty segment
 * (`//`), `.` and `..` in any spelling, encoded slashes and control characters are refused, so that nothing can mean one
 * thing here and another thing to the API server.
 */
export function readRequestLine(target: string): RequestLine {
  if (!target.startsWith('/')) return bad('the request target has to be a path that starts with /');
  const mark = target.indexOf('?');
  const path = mark < 0 ? target : target.slice(0, mark);
  const parts = path.slice(1).split('/');
  // Discovery is asked with and without a slash at its end.
  if (parts.at(-1) === '') parts.pop();
  const segments: string[] = [];
  for (const part of parts) {
    const segment = decoded(part);
    if (segment === undefined || segment === '' || DECEPTIVE.test(segment)) {
      return bad(`the path is not canonical at ${JSON.stringify(part.slice(0, 100))}: write it without //, . and ..`);
    }
    segments.push(segment);
  }
  return { type: 'ok', segments, query: new URLSearchParams(mark < 0 ? '' : target.slice(mark + 1)) };
}

/** The path of these segments, encoded. */
export function pathOf(segments: readonly string[]): string {
  return `/${segments.map(encodeURIComponent).join('/')}`;
}

function decoded(part: string): string | undefined {
  try {
    return decodeURIComponent(part);
  } catch {
    return undefined;
  }
}

function bad(message: string): RequestLine {
  return { type: 'bad', message: `shard-controller worker: ${message}` };
}
