import { describe, expect, test } from 'vitest';
import { readOrder } from '../../../src/delivery/follow-up/read-order.ts';

const options = { host: '10.0.0.172', port: '5984', method: 'POST', path: '/v1/your-other-api/' };
const withOptions = (more: Readonly<Record<string, unknown>>, data?: unknown) => readOrder({ options: { ...options, ...more }, data });

test('reads the documented example', () => {
  const callback = JSON.parse(`{
    "options": {
      "host": "10.0.0.172", "port": "5984", "method": "POST",
      "headers": { "Content-Type": "application/json; charset=utf-8" },
      "path": "/v1/your-other-api/"
    },
    "data": { "uuid": "7cb8cfb7267c2296d3f4ff9e089d0076", "foo": "bar" }
  }`);
  expect(readOrder(callback)).toEqual({
    method: 'POST',
    origin: 'http://10.0.0.172:5984',
    path: '/v1/your-other-api/',
    headers: [['Content-Type', 'application/json; charset=utf-8']],
    body: '{"uuid":"7cb8cfb7267c2296d3f4ff9e089d0076","foo":"bar"}',
    fault: undefined,
  });
});

describe('where it goes', () => {
  test.each([
    [{ host: 'api.example', port: undefined }, 'http://api.example'],
    [{ host: 'api.example', port: undefined, protocol: 'https:' }, 'https://api.example'],
    [{ host: 'api.example', port: 443, protocol: 'https:' }, 'https://api.example'],
    [{ host: 'API.example', port: 8080 }, 'http://api.example:8080'],
    [{ host: '::1' }, 'http://[::1]:5984'],
    [{ host: '[::1]' }, 'http://[::1]:5984'],
    [{ host: '2130706433' }, 'http://127.0.0.1:5984'],
    [{ host: '0x7f.1' }, 'http://127.0.0.1:5984'],
  ])('%j is %s', (more, origin) => {
    expect(withOptions(more)).toMatchObject({ origin, fault: undefined });
  });

  test.each([
    ...[
      '',
      'http://api.example',
      'api.example:80',
      'api.example/path',
      'api.example?',
      'api.example#',
      'user@api.example',
      'a b',
      '\\api.example',
    ],
    ...['[::1', '[api.example]', '256.256.256.256', '%00', 17, null, undefined, ['api.example'], '::1%lo'],
  ])('a host %j breaks it', (host) => {
    expect(withOptions({ host })).toMatchObject({ origin: '', fault: expect.stringContaining('options.host') });
  });

  test.each<[port: unknown]>([[0], [65_536], [-1], ['80a'], [''], [1.5], [true], [{}], [{ toString: 1, valueOf: 1 }], [[80]]])(
    'a port %j breaks it',
    (port) => {
      expect(withOptions({ port }).fault).toContain('options.port');
    },
  );

  test.each(['http', 'ftp:', 'file:', 5])('a protocol %j breaks it', (protocol) => {
    expect(withOptions({ protocol }).fault).toContain('options.protocol');
  });

  test('the path is the root if not told, and text if it is', () => {
    expect(withOptions({ path: undefined })).toMatchObject({ path: '/', fault: undefined });
    for (const path of [7, [], {}, { toString: 1, valueOf: 1 }])
      expect(withOptions({ path })).toMatchObject({ path: '/', fault: expect.stringContaining('options.path') });
  });
});

describe('what it may do', () => {
  test.each(['PUT', 'POST', 'GET', 'put', 'Post', 'get'])('%s is done', (method) => {
    expect(withOptions({ method })).toMatchObject({ method: method.toUpperCase(), fault: undefined });
  });

  test.each(['DELETE', 'PATCH', 'HEAD', 'OPTIONS', 'CONNECT', 'TRACE', 'GET ', '', undefined, 1])('%s is not', (method) => {
    expect(withOptions({ method }).fault).toBe('callback.options.method must be GET, POST, PUT');
  });

  test.each([null, 7, 'x', [], {}, { options: [] }, { options: 'x' }, { data: 'x' }])('%j is no order', (callback) => {
    expect(readOrder(callback).fault).toBe('callback.options is missing');
  });
});

describe('its data', () => {
  test.each([
    [{ a: [1, { b: null }] }, '{"a":[1,{"b":null}]}'],
    [{}, '{}'],
    [[], '{}'],
    ['plain text, as it is', 'plain text, as it is'],
    ['', ''],
    [undefined, ''],
  ])('%j is sent as %j', (data, body) => {
    expect(withOptions({}, data)).toMatchObject({ body, fault: undefined });
  });

  test.each([
    [[1, 2], 'callback.data must be text or an object, and is an array'],
    [[[]], 'callback.data must be text or an object, and is an array'],
    [7, 'callback.data must be text or an object, and is 7'],
    [true, 'callback.data must be text or an object, and is true'],
    [null, 'callback.data must be text or an object, and is null'],
  ])('%j breaks it', (data, fault) => {
    expect(withOptions({}, data).fault).toBe(fault);
    expect(withOptions({ method: 'PUT' }, data).fault).toBe(fault);
  });

  test.each([[1, 2], 7, { a: 1 }, 'text', null])('is left alone on GET, be it %j', (data) => {
    expect(withOptions({ method: 'GET' }, data)).toMatchObject({ body: '', fault: undefined });
  });
});

describe('its headers', () => {
  test.each([
    ...[
      'Host',
      'HOST',
      'Connection',
      'Keep-Alive',
      'Transfer-Encoding',
      'TE',
      'Trailer',
      'Upgrade',
      'Content-Length',
      'Expect',
      'User-Agent',
    ],
    ...[
      'Proxy-Authorization',
      'Proxy-Connection',
      'Via',
      'Forwarded',
      'X-Forwarded-For',
      'X-Forwarded-Host',
      'X-Real-IP',
      'X-Original-URL',
    ],
    ...['Metadata-Flavor', 'Metadata', 'X-aws-ec2-metadata-token', 'X-aws-ec2-metadata-token-ttl-seconds', 'X-Google-Metadata-Request'],
    ...['webhook-id', 'Webhook-Signature', 'event-pusher-attempt', 'X-HTTP-Method-Override', 'X-Method-Override', 'Sec-Fetch-Site'],
  ])('leaves out %s', (name) => {
    expect(withOptions({ headers: { [name]: 'x', 'X-Mine': 'y' } })).toMatchObject({ headers: [['X-Mine', 'y']], fault: undefined });
  });

  test('keeps the others, case and order too, and numbers as text', () => {
    const headers = { Authorization: 'Basic YTpi', accept: 'text/plain', 'X-Count': 3 };
    expect(withOptions({ headers }).headers).toEqual([
      ['Authorization', 'Basic YTpi'],
      ['accept', 'text/plain'],
      ['X-Count', '3'],
    ]);
    expect(withOptions({ headers: null })).toMatchObject({ headers: [], fault: undefined });
  });

  test('PHP’s empty array is no headers', () => {
    expect(withOptions({ headers: [] })).toMatchObject({ headers: [], fault: undefined });
  });

  test.each([[['Accept', 'x']], 'Accept: x', { Accept: ['x'] }, { Accept: null }])('%j breaks it', (headers) => {
    expect(withOptions({ headers }).fault).toContain('callback.options.headers');
  });
});
