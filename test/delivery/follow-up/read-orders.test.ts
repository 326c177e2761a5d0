import { describe, expect, test } from 'vitest';
import { maxMessages, readPayload, readRequest } from '../../../src/delivery/follow-up/read-orders.ts';

const options = { host: '10.0.0.172', port: '5984', method: 'POST', path: '/v1/your-other-api/' };
const withOptions = (more: Readonly<Record<string, unknown>>, data?: unknown) => readRequest({ options: { ...options, ...more }, data });

test('reads the documented example', () => {
  const callback = JSON.parse(`{
    "options": {
      "host": "10.0.0.172", "port": "5984", "method": "POST",
      "headers": { "Content-Type": "application/json; charset=utf-8" },
      "path": "/v1/your-other-api/"
    },
    "data": { "uuid": "7cb8cfb7267c2296d3f4ff9e089d0076", "foo": "bar" }
  }`);
  expect(readRequest(callback)).toEqual({
    method: 'POST',
    origin: 'http://10.0.0.172:5984',
    path: '/v1/your-other-api/',
    headers: [['Content-Type', 'application/json; charset=utf-8']],
    body: '{"uuid":"7cb8cfb7267c2296d3f4ff9e089d0076","foo":"bar"}',
    fault: undefined,
  });
});

describe('the destination of a request', () => {
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

  test.each(['http', 'ftp:', 'file:', 5])('rejects the protocol %j', (protocol) => {
    expect(withOptions({ protocol }).fault).toContain('options.protocol');
  });

  test('the path is text, and / by default', () => {
    expect(withOptions({ path: undefined })).toMatchObject({ path: '/', fault: undefined });
    for (const path of [7, [], {}, { toString: 1, valueOf: 1 }])
      expect(withOptions({ path })).toMatchObject({ path: '/', fault: expect.stringContaining('options.path') });
  });
});

describe('the method of a request', () => {
  test.each(['PUT', 'POST', 'GET', 'put', 'Post', 'get'])('accepts %s', (method) => {
    expect(withOptions({ method })).toMatchObject({ method: method.toUpperCase(), fault: undefined });
  });

  test.each(['DELETE', 'PATCH', 'HEAD', 'OPTIONS', 'CONNECT', 'TRACE', 'GET ', '', undefined, 1])('rejects %s', (method) => {
    expect(withOptions({ method }).fault).toBe('callback.options.method must be GET, POST, PUT');
  });

  test.each([null, 7, 'x', [], {}, { options: [] }, { options: 'x' }, { data: 'x' }])('rejects the order %j', (callback) => {
    expect(readRequest(callback).fault).toBe('callback.options is missing');
  });
});

describe('the data of a request', () => {
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
    [[1, 2], 'callback.data must be text or an object, not an array'],
    [[[]], 'callback.data must be text or an object, not an array'],
    [7, 'callback.data must be text or an object, not 7'],
    [true, 'callback.data must be text or an object, not true'],
    [null, 'callback.data must be text or an object, not null'],
  ])('%j breaks it', (data, fault) => {
    expect(withOptions({}, data).fault).toBe(fault);
    expect(withOptions({ method: 'PUT' }, data).fault).toBe(fault);
  });

  test.each([[1, 2], 7, { a: 1 }, 'text', null])('is omitted on GET: %j', (data) => {
    expect(withOptions({ method: 'GET' }, data)).toMatchObject({ body: '', fault: undefined });
  });
});

describe('the headers of a request', () => {
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

  test('keeps the others in their order and case, with numbers as text', () => {
    const headers = { Authorization: 'Basic YTpi', accept: 'text/plain', 'X-Count': 3 };
    expect(withOptions({ headers }).headers).toEqual([
      ['Authorization', 'Basic YTpi'],
      ['accept', 'text/plain'],
      ['X-Count', '3'],
    ]);
    expect(withOptions({ headers: null })).toMatchObject({ headers: [], fault: undefined });
  });

  test('the empty array of PHP is no header', () => {
    expect(withOptions({ headers: [] })).toMatchObject({ headers: [], fault: undefined });
  });

  test.each([[['Accept', 'x']], 'Accept: x', { Accept: ['x'] }, { Accept: null }])('rejects %j', (headers) => {
    expect(withOptions({ headers }).fault).toContain('callback.options.headers');
  });
});

describe('payload', () => {
  const defaults = { replyFrom: 'bot@localhost', defaultHost: 'localhost' };
  const readMessages = (payload: unknown) => readPayload(payload, defaults);
  const send = (...messages: readonly unknown[]) => readMessages({ success: true, task: 'send', messages });

  test.each([
    ['bob', 'bob@localhost'],
    ['bob@elsewhere.example', 'bob@elsewhere.example'],
    ['bob@localhost/phone', 'bob@localhost/phone'],
    ['4711', '4711@localhost'],
    ['+123@localhost', '+123@localhost'],
  ])('a message to %s goes to %s', (to, receiver) => {
    const target = { kind: 'xmpp', from: 'bot@localhost', to: receiver };
    expect(send({ to, message: 'Thank you.' })).toEqual({ kind: 'messages', messages: [{ target, text: 'Thank you.' }] });
  });

  test.each([
    ['+123', 'to is a telephone number, not a JID'],
    ['+49 (30) 123-456', 'to is a telephone number, not a JID'],
    ['', 'to is not a JID'],
    ['a b', 'to is not a JID'],
    ['a@b@c', 'to is not a JID'],
    ['@localhost', 'to is not a JID'],
    ['bob@', 'to is not a JID'],
    ["bob@localhost'/><x", 'to is not a JID'],
  ])('a message to %j is invalid, with the reason', (to, fault) => {
    expect(send({ to, message: 'x' })).toMatchObject({ messages: [{ target: { to: expect.any(String), fault } }] });
  });

  test.each([
    [{ to: 'bob' }, 'message must be text'],
    [{ to: 'bob', message: '' }, 'message must be text'],
    [{ to: 'bob', message: 7 }, 'message must be text'],
    [{ message: 'x' }, 'to must be text'],
    [{ to: 123, message: 'x' }, 'to must be text'],
    ['bob', 'to must be text'],
  ])('the message %j is invalid, with the reason', (message, fault) => {
    expect(send(message)).toMatchObject({ messages: [{ target: { fault } }] });
  });

  test('reads each message; an invalid message does not affect the others', () => {
    expect(send({ to: 'a', message: '1' }, { to: '+1', message: '2' }, { to: 'c', message: '3' })).toMatchObject({
      messages: [
        { target: { to: 'a@localhost' } },
        { target: { fault: expect.any(String) } },
        { target: { to: 'c@localhost' }, text: '3' },
      ],
    });
  });

  test.each([
    [{ success: false, task: 'send', messages: [{ to: 'a', message: 'x' }] }, 'declined'],
    [{ success: 'false', task: 'send', messages: [] }, 'declined'],
    [{ success: false, error: 'out of paper' }, 'declined'],
    [{ success: true, task: 'result' }, 'unknown-task'],
    [{ task: 'send', messages: { to: 'a', message: 'x' } }, 'malformed'],
    ['send', 'malformed'],
    [[1], 'malformed'],
  ])('%j sends nothing, with the reason %s', (payload, reason) => {
    expect(readMessages(payload)).toEqual({ kind: 'ignored', reason });
  });

  test.each([{ success: true, error: null }, {}, [], { task: null }, { task: 'send' }, { success: 'true', task: 'send', messages: [] }])(
    '%j contains no message',
    (payload) => {
      expect(readMessages(payload)).toEqual({ kind: 'messages', messages: [] });
    },
  );

  test('the excess over the limit is one invalid message with the reason', () => {
    const read = send(...Array.from({ length: maxMessages + 5 }, (_, index) => ({ to: `u${index}`, message: 'x' })));
    if (read.kind !== 'messages') throw new Error('ignored');
    expect(read.messages).toHaveLength(maxMessages + 1);
    expect(read.messages.at(-1)?.target.fault).toBe('a response may order 100 messages: 5 more were omitted');
  });
});
