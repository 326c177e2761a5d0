import { describe, expect, test } from 'vitest';
import type { HttpExitPar } from '../../../pools/exits.ts';
import { makeDescriptor, startExitsSource } from '../../support/exits-source.ts';

/** Each line of a body is a part; each part of the output is a line. */
function lines(par: HttpExitPar): void {
  if (par.ioIndicator === 'I') for (const line of par.getRequestBody().toString().split('\n')) par.putMgetMessage(line);
  else for (let i = 0; i < par.structureInfo.nrMsgParts; i += 1) par.putResponseBody(`${par.getMputMessage(i)}\n`);
}

describe('an exit', () => {
  test('is called once for the input, at the first mget, and once before the response', async () => {
    const told: string[] = [];
    await using front = await startExitsSource({
      exit: async (par) => {
        told.push(par.ioIndicator);
        await Promise.resolve();
        lines(par);
      },
      unit: async ({ mget, mput }) => {
        told.push('unit');
        const parts = [await mget(), await mget(), await mget(), await mget()];
        told.push(parts.map(String).join());
        mput('done');
        told.push('put');
      },
    });
    expect(await front.post('a\nb\nc', 'text/plain')).toMatchObject({ status: 200, body: 'done\n' });
    expect(told).toEqual(['unit', 'I', 'a,b,c,undefined', 'put', 'O']);
  });

  test('is called once if a unit calls mget twice at the same time', async () => {
    let calls = 0;
    await using front = await startExitsSource({
      exit: (par) => {
        calls += 1;
        lines(par);
      },
      unit: async ({ mget, mput }) => mput((await Promise.all([mget(), mget()])).join()),
    });
    expect(await front.post('a\nb', 'text/plain')).toMatchObject({ body: 'a,b\n' });
    expect(calls).toBe(2);
  });

  test('is not called for an input that the unit does not read', async () => {
    const told: string[] = [];
    await using front = await startExitsSource({ exit: ({ ioIndicator }) => told.push(ioIndicator), unit: ({ mput }) => mput('x') });
    expect((await front.post('a', 'text/plain'))?.status).toBe(200);
    expect(told).toEqual(['O']);
  });

  test('gets version, phase and the data of INIT, and shares its area with the unit', async () => {
    const seen: unknown[] = [];
    await using front = await startExitsSource({
      exit: (par) => {
        const { utmHttpVersion, ioIndicator, retcode, ca, httpInfo } = par;
        seen.push({ utmHttpVersion, ioIndicator, retcode });
        ca['steps'] = [...((ca['steps'] as string[] | undefined) ?? []), ioIndicator];
        if (ioIndicator === 'I') par.putMgetMessage(httpInfo.descriptor);
        else par.putResponseBody(JSON.stringify({ steps: ca['steps'], httpInfo }));
      },
      unit: async ({ mget, init, acc }) => {
        await mget();
        acc.ca['steps'] = [...(acc.ca['steps'] as string[]), init().httpInfo.tac, acc.origin];
        expect(acc).toMatchObject({ id: 'id-1', receivedAt: expect.stringMatching(/^\d{4}-.*Z$/) });
      },
    });
    const answer = await front.post('a', 'text/plain; charset=utf-8', { path: '/push?q=1' });
    expect(seen).toEqual([
      { utmHttpVersion: 1, ioIndicator: 'I', retcode: 0 },
      { utmHttpVersion: 1, ioIndicator: 'O', retcode: 0 },
    ]);
    const { steps, httpInfo } = JSON.parse(answer?.body ?? '');
    expect(steps).toEqual(['I', 'UNIT', 'front', 'O']);
    expect(httpInfo).toEqual({
      descriptor: 'D',
      tac: 'UNIT',
      bcamappl: 'front',
      version: '1.1',
      scheme: 'http',
      method: 'POST',
      path: '/push',
      query: 'q=1',
      contentType: 'text/plain; charset=utf-8',
      remoteAddress: '127.0.0.1',
    });
  });

  test('has a new area for each request', async () => {
    await using front = await startExitsSource({
      exit: lines,
      unit: async ({ mput, acc }) => {
        acc.ca['count'] = Number(acc.ca['count'] ?? 0) + 1;
        mput(String(acc.ca['count']));
      },
    });
    expect((await front.post('', 'text/plain'))?.body).toBe('1\n');
    expect((await front.post('', 'text/plain'))?.body).toBe('1\n');
  });

  test('can read every component of the request', async () => {
    await using front = await startExitsSource({
      descriptor: { path: '/*', unit: { kind: 'module', name: 'unit', url: 'file:///unit.mjs' } },
      unit: () => undefined,
      exit: (par) => {
        const headers = Array.from({ length: par.getHeaderCount() }, (_, i) => par.getHeaderByIndex(i)?.name);
        const asked = [
          par.getVersion(),
          par.getScheme(),
          par.getMethod(),
          par.getPath(),
          par.getQuery(),
          par.getUser(),
          par.getHeaderByName('X-TWICE'),
        ];
        par.putResponseBody(
          JSON.stringify({
            headers,
            asked,
            beyond: par.getHeaderByIndex(99),
            none: par.getHeaderByName('x-none'),
            hidden: par.getHeaderByName('authorization'),
            body: par.getRequestBody().toString('hex'),
            decoded: [par.percentDecode('a%20%C5%BC'), par.percentDecode('%FF')],
          }),
        );
      },
    });
    const headers = { 'X-Twice': '1', 'x-twice': '2', Authorization: 'Basic eDp5', Last: 'z' };
    const answer = await front.ask({ method: 'PUT', path: '/a/./b/../%7ec%2f?x=%41', headers, body: Buffer.from([0, 255]) });
    expect(JSON.parse(answer?.body ?? '')).toEqual({
      headers: ['Host', 'Content-Length', 'X-Twice', 'x-twice', 'Last'],
      asked: ['1.1', 'http', 'PUT', '/a/~c%2F', 'x=%41', null, '1, 2'],
      body: '00ff',
      decoded: ['a ż', null],
    });
  });

  test('makes the response: status, headers and body', async () => {
    await using front = await startExitsSource({
      unit: () => undefined,
      exit: (par) => {
        par.putStatus(201);
        par.putHeader('Content-Type', 'text/html; charset=utf-8');
        par.putHeader('X-Many', '1');
        par.putHeader('x-many', '2');
        par.putHeader('Content-Length', '999');
        par.putResponseBody('<p>ż');
        par.putResponseBody(Buffer.from('</p>'));
      },
    });
    const answer = await front.ask({ method: 'GET' });
    expect(answer).toMatchObject({ status: 201, body: '<p>ż</p>' });
    expect(answer?.headers.get('content-type')).toBe('text/html; charset=utf-8');
    expect(answer?.headers.get('x-many')).toBe('1, 2');
    expect(answer?.headers.get('content-length')).toBe('9');
  });

  test('reads the parts of the unit, one by one or all as one', async () => {
    await using front = await startExitsSource({
      unit: ({ mput }) => {
        mput('one');
        mput(Buffer.from('żwei'));
        mput('');
      },
      exit: ({ structureInfo, getMputMessage, putResponseBody }) =>
        putResponseBody(JSON.stringify([structureInfo, getMputMessage().toString(), getMputMessage(1).toString()])),
    });
    expect(JSON.parse((await front.post('', 'text/plain'))?.body ?? '')).toEqual([
      { nrMsgParts: 3, lthMsgParts: [3, 5, 0] },
      'onezwei'.replace('z', 'ż'),
      'żwei',
    ]);
  });
});

describe('the structure of the message', () => {
  const echo = async ({ mget, mput }: Parameters<NonNullable<Parameters<typeof startExitsSource>[0]>['unit'] & object>[0]) => {
    for (let part = await mget(); part !== undefined; part = await mget()) mput(`[${part}]`);
  };

  test('is that of the exit, however it has put the message', async () => {
    await using front = await startExitsSource({
      unit: echo,
      exit: (par) => {
        if (par.ioIndicator === 'O') return par.putResponseBody(par.getMputMessage());
        par.putMgetMessage('abc');
        par.putMgetMessage('defg');
        par.structureInfo.nrMsgParts = 3;
        par.structureInfo.lthMsgParts = [1, 0, 6];
      },
    });
    expect((await front.post('', 'text/plain'))?.body).toBe('[a][][bcdefg]');
  });

  test.each([
    ['lengths that do not add up to that of the message', 2, [1, 1]],
    ['more parts than lengths', 3, [2, 1]],
    ['a length that is not an integer', 2, [1.5, 1.5]],
    ['a negative length', 2, [-1, 4]],
    ['a length beyond 32767', 1, [32_768]],
    ['more than 254 parts', 255, new Array(255).fill(0).with(0, 3)],
    ['a count that is not a number', Number.NaN, [3]],
  ])('with %s ends the service: HXFF', async (_, nrMsgParts, lthMsgParts) => {
    await using front = await startExitsSource({
      unit: echo,
      exit: (par) => {
        par.putMgetMessage('abc');
        Object.assign(par.structureInfo, { nrMsgParts, lthMsgParts });
      },
    });
    expect(await front.post('', 'text/plain')).toMatchObject({ status: 500, body: 'HXFF\n' });
    expect(String(front.failed[0]?.error)).toContain('structureInfo does not match the length of the message');
  });

  test('may be another object that the exit assigns', async () => {
    await using front = await startExitsSource({
      unit: echo,
      exit: (par) => {
        if (par.ioIndicator === 'O') return par.putResponseBody(par.getMputMessage());
        par.putMgetMessage('abcdefg');
        par.structureInfo = { nrMsgParts: 2, lthMsgParts: [3, 4] };
      },
    });
    expect((await front.post('', 'text/plain'))?.body).toBe('[abc][defg]');
  });

  test.each<[string, unknown]>([
    ['undefined', undefined],
    ['null', null],
    ['a number', 2],
    ['a list', [1, 2]],
    ['an object without numbers', {}],
    ['a text in place of lengths', { nrMsgParts: 1, lthMsgParts: '3' }],
    [
      'one that throws when it is read',
      {
        get nrMsgParts() {
          throw new Error('structureInfo does not match the length of the message');
        },
      },
    ],
  ])('replaced by %s ends the service: HXFF', async (_, structureInfo) => {
    await using front = await startExitsSource({
      unit: echo,
      exit: (par) => {
        par.putMgetMessage('abc');
        Object.assign(par, { structureInfo });
      },
    });
    expect(await front.post('', 'text/plain')).toMatchObject({ status: 500, body: 'HXFF\n' });
    expect(String(front.failed[0]?.error)).toContain('structureInfo does not match the length of the message');
  });

  test('holds 254 parts of 32767 bytes, and no more', async () => {
    const part = Buffer.alloc(32_767, 'x');
    const problems: string[] = [];
    const attempt = (put: () => void) => {
      try {
        put();
      } catch (error) {
        problems.push(String(error));
      }
    };
    await using front = await startExitsSource({
      unit: async ({ mget, mput }) => {
        let count = 0;
        for (let read = await mget(); read !== undefined; read = await mget()) count += read.length;
        attempt(() => mput(Buffer.alloc(32_768)));
        mput(String(count));
      },
      exit: (par) => {
        if (par.ioIndicator === 'O') return par.putResponseBody(par.getMputMessage(0));
        attempt(() => par.putMgetMessage(Buffer.alloc(32_768)));
        for (let i = 0; i < 254; i += 1) par.putMgetMessage(part);
        attempt(() => par.putMgetMessage(''));
      },
    });
    expect((await front.post('', 'text/plain'))?.body).toBe(String(254 * 32_767));
    expect(problems).toEqual([
      'RangeError: a part may have 32767 bytes, this one has 32768',
      'RangeError: a message may have 254 parts',
      'RangeError: a part may have 32767 bytes, this one has 32768',
    ]);
  });

  test('is copied: the exit may change its buffers afterwards', async () => {
    await using front = await startExitsSource({
      unit: echo,
      exit: (par) => {
        if (par.ioIndicator === 'O') return par.putResponseBody(par.getMputMessage());
        const bytes = Buffer.from('abc');
        par.putMgetMessage(bytes);
        bytes.fill('x');
      },
    });
    expect((await front.post('', 'text/plain'))?.body).toBe('[abc]');
  });
});

describe('a return code other than 0', () => {
  const cases = [
    [1, 'HX01'],
    [5, 'HX05'],
    [26, 'HX1A'],
    [255, 'HXFF'],
    [256, 'HXFF'],
    [-1, 'HXFF'],
    [1.5, 'HXFF'],
    ['0', 'HXFF'],
    [undefined, 'HXFF'],
    [Number.NaN, 'HXFF'],
  ] as const;

  test.each(cases)('of %s for the input ends the service: %s, nothing pushed', async (retcode, code) => {
    await using front = await startExitsSource({
      exit: (par) => {
        for (const part of ['alice@localhost', 'bob@localhost', 'Hi']) if (par.ioIndicator === 'I') par.putMgetMessage(part);
        if (par.ioIndicator === 'I') par.retcode = retcode as number;
      },
    });
    expect(await front.post('', 'text/plain')).toMatchObject({ status: 500, body: `${code}\n` });
    expect(front.packets).toEqual([]);
  });

  test.each(cases)('of %s for the output ends the service: %s, nothing pushed', async (retcode, code) => {
    await using front = await startExitsSource({
      exit: (par) => {
        if (par.ioIndicator === 'O') par.retcode = retcode as number;
        else for (const part of ['alice@localhost', 'bob@localhost', 'Hi']) par.putMgetMessage(part);
        if (par.ioIndicator === 'O') par.putStatus(200);
      },
    });
    expect(await front.post('', 'text/plain')).toMatchObject({ status: 500, body: `${code}\n` });
    expect(front.packets).toEqual([]);
    expect(front.failed).toMatchObject([{ attachment: 'front', descriptor: 'D', by: 'exit', text: code, error: undefined }]);
  });

  test('ends the service even if the unit continues without its input', async () => {
    let outputs = 0;
    await using front = await startExitsSource({
      unit: async ({ mget, mput }) => {
        await mget().catch(() => undefined);
        mput('never mind');
      },
      exit: (par) => {
        if (par.ioIndicator === 'O') outputs += 1;
        par.retcode = 7;
      },
    });
    expect(await front.post('', 'text/plain')).toMatchObject({ status: 500, body: 'HX07\n' });
    expect(outputs).toBe(0);
  });

  test('of 0 in both phases pushes, and the exit makes the response', async () => {
    await using front = await startExitsSource({
      exit: (par) => {
        if (par.ioIndicator === 'I') return lines(par);
        expect(front.packets).toEqual([]);
        par.putStatus(303);
        par.putHeader('location', `/messages/${par.getMputMessage(0)}`);
      },
    });
    const answer = await front.post('alice@localhost\nbob@localhost\nHi', 'text/plain');
    expect([answer?.status, answer?.headers.get('location')]).toEqual([303, '/messages/id-2']);
    expect(front.bodies()).toEqual(['Hi']);
  });
});

describe('a failing exit', () => {
  test.each<[string, (par: HttpExitPar) => unknown, string]>([
    [
      'throws',
      () => {
        throw new Error('no');
      },
      'exit: no',
    ],
    ['rejects', () => Promise.reject(new Error('later no')), 'exit: later no'],
    ['puts a number', (par) => par.putMgetMessage(5 as never), 'exit: expected text or bytes, received number'],
    ['puts a status in the input', (par) => par.putStatus(200), 'exit: putStatus is available only for output'],
    ['puts a header in the input', (par) => par.putHeader('a', 'b'), 'exit: putHeader is available only for output'],
    ['puts a body in the input', (par) => par.putResponseBody(''), 'exit: putResponseBody is available only for output'],
    ['reads the output in the input', (par) => par.getMputMessage(0), 'exit: getMputMessage is available only for output'],
  ])('%s: HXFF, and a log entry', async (_, exit, message) => {
    await using front = await startExitsSource({ exit });
    expect(await front.post('', 'text/plain')).toMatchObject({ status: 500, body: 'HXFF\n' });
    expect(front.failed).toMatchObject([{ by: 'exit', error: { message } }]);
  });

  test.each<[string, (par: HttpExitPar) => unknown, string]>([
    ['puts a part in the output', (par) => par.putMgetMessage('x'), 'exit: putMgetMessage is available only for input'],
    [
      'reads a part that is not there',
      (par) => par.getMputMessage(0),
      'exit: the unit has put 0 parts, counted from 0: there is no part 0',
    ],
    ['puts a status of 99', (par) => par.putStatus(99), 'exit: a status is 200 to 599, received 99'],
    ['puts a header of two lines', (par) => par.putHeader('x', 'a\r\nb: c'), 'exit: Invalid character in header content ["x"]'],
  ])('%s: HXFF, and a log entry', async (_, exit, message) => {
    await using front = await startExitsSource({ exit, unit: () => undefined });
    expect(await front.post('', 'text/plain')).toMatchObject({ status: 500, body: 'HXFF\n' });
    expect(front.failed).toMatchObject([{ by: 'exit', error: { message } }]);
  });

  test('is late: HXFF', async () => {
    await using front = await startExitsSource({ exit: () => new Promise(() => undefined), timeoutMs: 20 });
    expect(await front.post('', 'text/plain')).toMatchObject({ status: 500, body: 'HXFF\n' });
    expect(front.failed[0]?.error?.message).toBe('exit: no result within 20 ms');
  });
});

describe('a failing program unit', () => {
  test('throws: 500, and the exit is not called for the output', async () => {
    const told: string[] = [];
    await using front = await startExitsSource({
      exit: (par) => {
        told.push(par.ioIndicator);
        lines(par);
      },
      unit: async ({ mget }) => {
        await mget();
        throw new Error('out of stock');
      },
    });
    expect(await front.post('', 'text/plain')).toMatchObject({ status: 500, body: 'the program unit failed\n' });
    expect(told).toEqual(['I']);
    expect(front.failed).toMatchObject([{ by: 'unit', error: { message: 'unit: out of stock' } }]);
  });

  test('is late: 500', async () => {
    await using front = await startExitsSource({ unit: () => new Promise(() => undefined), timeoutMs: 20 });
    expect(await front.post('', 'text/plain')).toMatchObject({ status: 500, body: 'the program unit failed\n' });
  });
});

describe('text in another charset', () => {
  const latin2 = Buffer.from([0x5a, 0x61, 0xbf, 0xf3, 0xb3, 0xe6]); // Zażółć
  const convertText = true;

  test('is converted to UTF-8 before an exit reads it', async () => {
    await using front = await startExitsSource({ descriptor: { convertText }, exit: lines });
    const body = Buffer.concat([Buffer.from('alice@localhost\nbob@localhost\n'), latin2]);
    expect((await front.post(body, 'text/plain; charset=ISO-8859-2'))?.status).toBe(202);
    expect((await front.post(body, 'text/plain; charset="latin2"'))?.status).toBe(202);
    expect(front.bodies()).toEqual(['Zażółć', 'Zażółć']);
  });

  test('is decoded field by field in a form', async () => {
    await using front = await startExitsSource({ descriptor: { convertText } });
    const answer = await front.post('author=a&receiver=b&message=Za%BF%F3%B3%E6', 'application/x-www-form-urlencoded; charset=iso-8859-2');
    expect(answer?.status).toBe(202);
    expect(front.bodies()).toEqual(['Zażółć']);
  });

  test.each([
    ['UTF-8', 'utf-8', [0xef, 0xbb, 0xbf], 'utf8'],
    ['UTF-16, which overrides the label', 'iso-8859-1', [0xff, 0xfe], 'utf16le'],
  ] as const)('may begin with a byte order mark of %s', async (_, charset, mark, encoding) => {
    await using front = await startExitsSource({ descriptor: { convertText }, exit: lines });
    const body = Buffer.concat([Buffer.from(mark), Buffer.from('alice@localhost\nbob@localhost\nZażółć', encoding)]);
    expect((await front.post(body, `text/plain; charset=${charset}`))?.status).toBe(202);
    expect(front.bodies()).toEqual(['Zażółć']);
  });

  test('keeps a byte order mark inside the text', async () => {
    await using front = await startExitsSource({ descriptor: { convertText } });
    await front.post('author=a&receiver=b&message=%EF%BB%BFx', 'application/x-www-form-urlencoded; charset=utf-8');
    expect(front.bodies()).toEqual(['\ufeffx']);
  });

  test.each([
    ['an unknown charset', latin2, 'text/plain; charset=klingon', 415, 'the charset klingon is not supported'],
    ['bytes that are invalid in their charset', latin2, 'text/plain; charset=utf-8', 400, 'the body is not utf-8'],
    ['bytes that are not UTF-8 without a charset', latin2, 'text/plain', 400, 'the body is not utf-8'],
  ])('is refused for %s', async (_, body, type, status, text) => {
    await using front = await startExitsSource({ descriptor: { convertText }, exit: lines });
    expect(await front.post(body, type)).toMatchObject({ status, body: `${text}\n` });
  });

  test('is unchanged without convert_text, or if it is not text', async () => {
    const unit = async ({ mget, mput }: { mget(): Promise<Buffer | undefined>; mput(part: string): void }) =>
      mput((await mget())?.toString('hex') ?? '');
    const module = { kind: 'module', name: 'unit', url: 'file:///unit.mjs' } as const;
    await using plain = await startExitsSource({ unit });
    await using image = await startExitsSource({ unit, descriptor: makeDescriptor({ convertText, unit: module }) });
    expect((await plain.post(latin2, 'text/plain; charset=klingon'))?.body).toBe(`${latin2.toString('hex')}\n`);
    expect((await image.post(latin2, 'image/png; charset=klingon'))?.body).toBe(`${latin2.toString('hex')}\n`);
  });
});
