import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { headerRecord, parseRawRequest } from '../../../pools/session/build-request.ts';
import { makeMessageJob, serveSessions } from '../../support/session-rig.ts';
import { startTarget } from '../../support/target.ts';

test('names of headers are case-insensitive, and the value set last counts', () => {
  const headers = headerRecord([['Content-Type', 'a/b']]);
  expect(headers['CONTENT-TYPE']).toBe('a/b');

  headers['content-Type'] = 'c/d';
  Object.assign(headers, { 'X-A': '1', 'x-a': '2' });

  expect({ ...headers }).toEqual({ 'content-type': 'c/d', 'x-a': '2' });
  expect('X-a' in headers).toBe(true);
  expect(delete headers['X-A']).toBe(true);
  expect(Object.keys(headers)).toEqual(['content-type']);
});

test('values of a repeated name are joined', () => {
  const headers = headerRecord([
    ['X-A', '1'],
    ['x-a', '2'],
  ]);
  expect(headers['x-a']).toBe('1, 2');
});

test('has no inherited names', () => {
  const headers = headerRecord([['__proto__', 'harmless']]);
  expect([headers['constructor'], 'toString' in headers]).toEqual([undefined, false]);
  expect(Object.entries(headers)).toEqual([['__proto__', 'harmless']]);
});

test('the last header of a name is sent in this form too, numbers as text', async () => {
  await using target = await startTarget();
  await using thread = serveSessions(
    {
      buildRequest: ({ request }) => {
        Object.assign(request, { headers: { 'X-A': '1', 'x-a': '2', 'X-B': 3 } });
        return undefined;
      },
    },
    { origin: target.origin },
  );

  await thread.deliver(makeMessageJob());

  const own = target.requests[0]?.headers.filter(([name]) => /^x-|content-type/i.test(name));
  expect(own).toEqual([
    ['x-a', '2'],
    ['X-B', '3'],
  ]);
});

const origin = 'http://backend.example:8000';
const head = (...lines: string[]) => `${lines.join('\r\n')}\r\n\r\n`;
const plain = head('POST /a HTTP/1.1', 'Host: backend.example:8000', 'Content-Length: 2');

describe('a complete message', () => {
  test('yields method, path, headers in their order and case, and body', () => {
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
  ])('may have a complete URL as its target: %s', (target, path) => {
    expect(parseRawRequest(head(`GET ${target} HTTP/1.1`, 'Host: backend.example:8000'), origin).path).toBe(path);
  });

  test.each([
    ['https://backend.example', 'backend.example:443'],
    ['https://backend.example', 'Backend.Example'],
    ['http://[::1]:8000', '[::1]:8000'],
    ['http://[::1]', '[::1]'],
  ])('for %s may have the host %s', (pool, host) => {
    expect(parseRawRequest(head('GET / HTTP/1.1', `Host: ${host}`), pool).path).toBe('/');
  });

  test('may have any bytes in its body, including the end of a head', () => {
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
    ['an empty text', '', /does not end/],
    ['a head without its end', plain.slice(0, -2), /does not end/],
    ['line feeds alone', `${plain.replaceAll('\r', '')}ok`, /does not end/],
    ['a line feed alone between headers', `${plain.replace('8000\r\n', '8000\n')}ok`, /not well-formed/],
    ['a carriage return alone', `${plain.replace('Host:', 'X-A: a\rb\r\nHost:')}ok`, /not well-formed/],
    ['an empty line first', `\r\n${plain}ok`, /request line/],
    ['HTTP/1.0', `${plain.replace('1.1', '1.0')}ok`, /request line/],
    ['HTTP/2', `${plain.replace('1.1', '2')}ok`, /request line/],
    ['two spaces in the request line', `${plain.replace(' /a', '  /a')}ok`, /request line/],
    ['a space after the request line', `${plain.replace('1.1', '1.1 ')}ok`, /request line/],
    ['no method', plain.slice(4), /request line/],
    ['a control character in the target', `${plain.replace('/a', '/\u0001')}ok`, /request line/],
    ['CONNECT', `${plain.replace('POST /a', 'CONNECT backend.example:8000')}ok`, /CONNECT is not allowed/],
    ['an asterisk as target', `${plain.replace('POST /a', 'OPTIONS *')}ok`, /neither a path nor a URL/],
    ['a target without a slash', `${plain.replace('/a', 'a')}ok`, /neither a path nor a URL/],
    ['a target of another host', `${plain.replace('/a', 'http://elsewhere:8000/')}ok`, /neither a path nor a URL/],
    ['a target of another port', `${plain.replace('/a', 'http://backend.example/')}ok`, /neither a path nor a URL/],
    ['a target of another scheme', `${plain.replace('/a', 'https://backend.example:8000/')}ok`, /neither a path nor a URL/],
    ['a target with a user', `${plain.replace('/a', 'http://u@backend.example:8000/')}ok`, /neither a path nor a URL/],
    ['a target with a fragment', `${plain.replace('/a', '/a#b')}ok`, /fragment/],
    ['no host', `${plain.replace(/Host.*\r\n/, '')}ok`, /exactly one host/],
    ['two hosts', `${plain.replace('Host:', 'Host: backend.example:8000\r\nHOST:')}ok`, /exactly one host/],
    ['another host', `${plain.replace('Host: backend', 'Host: elsewhere')}ok`, /host is not that of this pool/],
    ['a host with a path', `${plain.replace('8000\r', '8000/\r')}ok`, /host is not that of this pool/],
    ['a folded header', `${plain.replace('Content', 'X-A: 1\r\n 2\r\nContent')}ok`, /not well-formed/],
    ['a header without a colon', `${plain.replace('Content', 'X-A\r\nContent')}ok`, /not well-formed/],
    ['a space before the colon', `${plain.replace('Length:', 'Length :')}ok`, /not well-formed/],
    ['a NUL in a value', `${plain.replace('Content', 'X-A: \0\r\nContent')}ok`, /not well-formed/],
    ['a transfer-encoding', `${plain.replace('Content', 'Transfer-Encoding: chunked\r\nContent')}ok`, /transfer-encoding/],
    ['two lengths', `${plain.replace('Content', 'content-length: 2\r\nContent')}ok`, /more than one content-length/],
    ['a list of lengths', `${plain.replace(': 2', ': 2, 2')}ok`, /length of the body, 2 bytes/],
    ['a signed length', `${plain.replace(': 2', ': +2')}ok`, /length of the body, 2 bytes/],
    ['a length that is too large', `${plain}o`, /length of the body, 1 bytes/],
    ['a second message', `${plain}ok${plain}ok`, /length of the body, /],
    ['a body without a length', `${head('POST / HTTP/1.1', 'Host: backend.example:8000')}ok`, /a body and no content-length/],
  ])('%s', (_what, raw, message) => {
    expect(() => parseRawRequest(raw, origin)).toThrow(message);
    expect(() => parseRawRequest(Buffer.from(raw), origin)).toThrow(TypeError);
  });
});
