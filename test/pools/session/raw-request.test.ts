import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseRawRequest } from '../../../pools/session/raw-request.ts';

const origin = 'http://backend.example:8000';
const head = (...lines: string[]) => `${lines.join('\r\n')}\r\n\r\n`;
const plain = head('POST /a HTTP/1.1', 'Host: backend.example:8000', 'Content-Length: 2');

describe('a complete message', () => {
  test('gives method, path, headers in their order and case, and body', () => {
    const raw = head('PUT /a/../b?c HTTP/1.1', 'host:backend.example:8000', 'X-A: 1 ', 'x-a:\t2\t', 'X-Empty:', 'Content-Length: 3');

    expect(parseRawRequest(`${raw}abc`, origin)).toEqual({
      method: 'PUT',
      path: '/a/../b?c',
      headers: [
        ['host', 'backend.example:8000'],
        ['X-A', '1'],
        ['x-a', '2'],
        ['X-Empty', ''],
        ['Content-Length', '3'],
      ],
      body: Buffer.from('abc'),
    });
  });

  test.each([
    ['http://backend.example:8000/a?b', '/a?b'],
    ['HTTP://BACKEND.example:8000', '/'],
    ['http://backend.example:8000?b', '/?b'],
  ])('may name its target as a whole URL: %s', (target, path) => {
    expect(parseRawRequest(head(`GET ${target} HTTP/1.1`, 'Host: backend.example:8000'), origin).path).toBe(path);
  });

  test.each([
    ['https://backend.example', 'backend.example:443'],
    ['https://backend.example', 'Backend.Example'],
    ['http://[::1]:8000', '[::1]:8000'],
    ['http://[::1]', '[::1]'],
  ])('of %s may have the host %s', (pool, host) => {
    expect(parseRawRequest(head('GET / HTTP/1.1', `Host: ${host}`), pool).path).toBe('/');
  });

  test('may hold any bytes as its body, the end of a head among them', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (body) => {
        const raw = head('POST / HTTP/1.1', 'Host: backend.example:8000', `Content-Length: ${body.length + 4}`);
        const whole = Buffer.concat([Buffer.from(raw), Buffer.from('\r\n\r\n'), body]);
        expect(parseRawRequest(whole, origin).body).toEqual(Buffer.concat([Buffer.from('\r\n\r\n'), body]));
      }),
    );
  });
});

describe('is refused:', () => {
  test.each<[string, string, RegExp]>([
    ['nothing', '', /does not end/],
    ['a head without its end', plain.slice(0, -2), /does not end/],
    ['line feeds alone', `${plain.replaceAll('\r', '')}ok`, /does not end/],
    ['a line feed alone between headers', `${plain.replace('8000\r\n', '8000\n')}ok`, /not well-formed/],
    ['a carriage return alone', `${plain.replace('Host:', 'X-A: a\rb\r\nHost:')}ok`, /not well-formed/],
    ['an empty line first', `\r\n${plain}ok`, /request line/],
    ['HTTP/1.0', `${plain.replace('1.1', '1.0')}ok`, /request line/],
    ['HTTP/2', `${plain.replace('1.1', '2')}ok`, /request line/],
    ['two spaces in the request line', `${plain.replace(' /a', '  /a')}ok`, /request line/],
    ['a space behind the request line', `${plain.replace('1.1', '1.1 ')}ok`, /request line/],
    ['no method', plain.slice(4), /request line/],
    ['a control character in the target', `${plain.replace('/a', '/\u0001')}ok`, /request line/],
    ['CONNECT', `${plain.replace('POST /a', 'CONNECT backend.example:8000')}ok`, /tunnel/],
    ['a target that is an asterisk', `${plain.replace('POST /a', 'OPTIONS *')}ok`, /neither a path nor a URL/],
    ['a target without a slash', `${plain.replace('/a', 'a')}ok`, /neither a path nor a URL/],
    ['a target of another host', `${plain.replace('/a', 'http://elsewhere:8000/')}ok`, /neither a path nor a URL/],
    ['a target of another port', `${plain.replace('/a', 'http://backend.example/')}ok`, /neither a path nor a URL/],
    ['a target of another scheme', `${plain.replace('/a', 'https://backend.example:8000/')}ok`, /neither a path nor a URL/],
    ['a target with a user', `${plain.replace('/a', 'http://u@backend.example:8000/')}ok`, /neither a path nor a URL/],
    ['a target with a fragment', `${plain.replace('/a', '/a#b')}ok`, /fragment/],
    ['no host', `${plain.replace(/Host.*\r\n/, '')}ok`, /exactly one host/],
    ['two hosts', `${plain.replace('Host:', 'Host: backend.example:8000\r\nHOST:')}ok`, /exactly one host/],
    ['another host', `${plain.replace('Host: backend', 'Host: elsewhere')}ok`, /not the one of this pool/],
    ['a host with a path', `${plain.replace('8000\r', '8000/\r')}ok`, /not the one of this pool/],
    ['a folded header', `${plain.replace('Content', 'X-A: 1\r\n 2\r\nContent')}ok`, /not well-formed/],
    ['a header without a colon', `${plain.replace('Content', 'X-A\r\nContent')}ok`, /not well-formed/],
    ['a space before the colon', `${plain.replace('Length:', 'Length :')}ok`, /not well-formed/],
    ['a NUL in a value', `${plain.replace('Content', 'X-A: \0\r\nContent')}ok`, /not well-formed/],
    ['a transfer-encoding', `${plain.replace('Content', 'Transfer-Encoding: chunked\r\nContent')}ok`, /transfer-encoding/],
    ['two lengths', `${plain.replace('Content', 'content-length: 2\r\nContent')}ok`, /more than one content-length/],
    ['a list of lengths', `${plain.replace(': 2', ': 2, 2')}ok`, /its body, which is 2/],
    ['a signed length', `${plain.replace(': 2', ': +2')}ok`, /its body, which is 2/],
    ['a length that is too large', `${plain}o`, /its body, which is 1/],
    ['a second message', `${plain}ok${plain}ok`, /its body, which is/],
    ['a body without a length', `${head('POST / HTTP/1.1', 'Host: backend.example:8000')}ok`, /a body and no content-length/],
  ])('%s', (_what, raw, told) => {
    expect(() => parseRawRequest(raw, origin)).toThrow(told);
    expect(() => parseRawRequest(Buffer.from(raw), origin)).toThrow(TypeError);
  });
});
