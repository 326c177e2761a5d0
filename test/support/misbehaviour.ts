/** Misbehaviour of a backend, as `Answer`s of the scripted target. */
import type { Answer } from './target.ts';

/** Unchanged bytes; see `Answer`. */
export function bytes(
  pieces: Iterable<string | Uint8Array>,
  rest: Omit<Extract<Answer, { readonly kind: 'bytes' }>, 'kind' | 'pieces'> = {},
): Answer {
  return { kind: 'bytes', pieces, ...rest };
}

export function status(code: number, headers: readonly (readonly [string, string])[] = []): Answer {
  return { kind: 'answer', status: code, headers };
}

/** A response that asks to retry after the time; the value is sent unchanged. */
export function retryAfter(value: string, code = 429): Answer {
  return status(code, [['Retry-After', value]]);
}

/** A complete response with these lines as its head. */
export function head(...lines: readonly string[]): string {
  return `${lines.join('\r\n')}\r\n\r\n`;
}

/** Some pieces, then the last one repeatedly, as long as it is read. */
export function endlessly(...pieces: readonly string[]): Iterable<string> {
  return {
    *[Symbol.iterator]() {
      yield* pieces;
      for (;;) yield pieces.at(-1) ?? '';
    },
  };
}

/** One character at a time. */
export function trickled(text: string): Iterable<string> {
  return text.split('');
}

export const okHead = head('HTTP/1.1 200 OK', 'content-length: 2');
const chunkedHead = head('HTTP/1.1 200 OK', 'transfer-encoding: chunked');

export const resetWithinHead: Answer = bytes(['HTTP/1.1 200 OK\r\ncontent-le'], { gapMs: 5, afterwards: 'reset' });
export const resetWithinBody: Answer = bytes([head('HTTP/1.1 200 OK', 'content-length: 100'), 'half'], { gapMs: 20, afterwards: 'reset' });
export const tooManyHeaders: Answer = bytes([
  'HTTP/1.1 200 OK\r\n',
  ...Array.from({ length: 100 }, (_, part) => `x-${part}: 1\r\n`.repeat(1000)),
  'content-length: 2\r\n\r\nok',
]);
export const hugeHeaderLine: Answer = bytes([head('HTTP/1.1 200 OK', `x: ${'x'.repeat(1024 * 1024)}`, 'content-length: 2'), 'ok']);
export const interimFlood: Answer = bytes(endlessly(head('HTTP/1.1 103 Early Hints', 'link: </a>')), { gapMs: 1 });
export const interimTorrent: Answer = bytes(endlessly(head('HTTP/1.1 100 Continue', `x: ${'x'.repeat(4000)}`)));
export const chunked: Answer = bytes([chunkedHead, '1\r\no\r\n', '1;name=value\r\nk\r\n', '0\r\nx-trailer: 1\r\n\r\n'], {
  gapMs: 5,
  status: 200,
});
export const bodyThatNeverComes: Answer = bytes([okHead]);
export const chunkedBadly: Answer = bytes([chunkedHead, 'two\r\nok\r\n0\r\n\r\n']);
export const chunkedCutShort: Answer = bytes([chunkedHead, '5\r\nhal'], { gapMs: 5, afterwards: 'end' });
