/** The path of a request's target, normalised (RFC 3986 §6.2.2), and its query as it came. Undefined for what is no path. */
export function readTarget(target: string): { readonly path: string; readonly query: string } | undefined {
  const mark = target.indexOf('?');
  const written = mark < 0 ? target : target.slice(0, mark);
  if (!written.startsWith('/') || /%(?![\da-f]{2})/i.test(written)) return undefined;
  const path = withoutDots(written.replaceAll(/%[\da-f]{2}/gi, unescaped));
  return { path, query: mark < 0 ? '' : target.slice(mark + 1) };
}

/** An unreserved character needs no escape; other escapes are in upper case. */
function unescaped(written: string): string {
  const character = String.fromCharCode(Number.parseInt(written.slice(1), 16));
  return /[\w.~-]/.test(character) ? character : written.toUpperCase();
}

/** RFC 3986 §5.2.4. */
function withoutDots(path: string): string {
  const kept: string[] = [];
  const segments = path.split('/').slice(1);
  for (const [index, segment] of segments.entries()) {
    const last = index === segments.length - 1;
    if (segment === '..') kept.pop();
    if (segment !== '.' && segment !== '..') kept.push(segment);
    else if (last) kept.push('');
  }
  return `/${kept.join('/')}`;
}
