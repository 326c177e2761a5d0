import { describe, expect, test } from 'vitest';
import {
  DELIVERY_PERMFAILED,
  DELIVERY_SUCCESS,
  DELIVERY_TEMPFAILED,
  type DeliveryCallbacks,
  type DeliveryVerdict,
  DLV_RESPONSE_STATUS,
  DLV_RESPONSE_STATUS_DETAIL,
  HTTP_INTERNAL_CONT,
  HTTP_INTERNAL_DONE,
  HTTP_INTERNAL_FAIL,
  type InternalCode,
  type Session,
  type StatusOrigin,
} from '../../../pools/callbacks.ts';
import type { KeyedOutcome } from '../../../pools/contract.ts';
import type { ServedThread } from '../../support/pool-thread.ts';
import { makeMessageJob, serveSessions } from '../../support/session-rig.ts';
import { startTarget, type Target, type TargetOptions } from '../../support/target.ts';

/** A value that the types forbid; modules may be JavaScript. */
const nonsense = (value: unknown) => value as InternalCode & DeliveryVerdict;
const never = new Promise<never>(() => undefined);

function mark(session: Session, status: string, detail = ''): void {
  session.message.context.set(DLV_RESPONSE_STATUS, status);
  session.message.context.set(DLV_RESPONSE_STATUS_DETAIL, detail);
}

/** Records its arguments and returns a given verdict. */
function createClassifier(verdict: () => DeliveryVerdict | Promise<DeliveryVerdict> = () => DELIVERY_TEMPFAILED) {
  const asked: [status: number, origin: StatusOrigin][] = [];
  const statusClassifier: Required<DeliveryCallbacks>['statusClassifier'] = (status, { origin }) => {
    asked.push([status, origin]);
    return verdict();
  };
  return { asked, statusClassifier };
}

const continuations: [what: string, code: () => InternalCode | Promise<InternalCode> | undefined][] = [
  ['HTTP_INTERNAL_CONT', () => HTTP_INTERNAL_CONT],
  ['nothing', () => undefined],
  ['HTTP_INTERNAL_CONT later', async () => HTTP_INTERNAL_CONT],
];

interface Judged extends KeyedOutcome {
  readonly target: Target;
  readonly thread: ServedThread;
}

describe.each(['undici', 'got'] as const)('over %s', (client) => {
  async function judge(callbacks: DeliveryCallbacks, target: TargetOptions = {}, job = makeMessageJob()): Promise<Judged> {
    await using backend = await startTarget(target);
    await using thread = serveSessions(callbacks, { client, origin: backend.origin, settings: { callbackTimeoutMs: 50 } });
    return { ...(await thread.judge(job)), target: backend, thread };
  }

  describe('buildRequest', () => {
    test.each(continuations)('%s: method, path, headers and body are sent, with the length of the body', async (_what, code) => {
      const { outcome, target, thread } = await judge({
        buildRequest: ({ request }) => {
          request.method = 'PUT';
          request.path = '/made?by=module';
          request.headers['X-Made'] = 'yes';
          request.body = 'Grüße';
          return code();
        },
      });

      expect(outcome).toMatchObject({ kind: 'answered', status: 200 });
      expect(target.requests).toMatchObject([{ method: 'PUT', path: '/made?by=module', body: Buffer.from('Grüße') }]);
      const [request] = target.requests;
      expect(request?.header('x-made')).toBe('yes');
      expect(request?.header('content-type')).toBe('application/x-www-form-urlencoded');
      expect(request?.header('content-length')).toBe('7');
      expect(request?.header('webhook-id')).toBe(makeMessageJob().id);
      expect(thread.failures).toEqual([]);
    });

    test.each<[string, string | Uint8Array]>([
      ['text', 'POST /whole HTTP/1.1\r\nHost: HOST\r\nX-A: Grüße\r\nContent-Length: 2\r\n\r\nok'],
      ['bytes', Buffer.from('POST /whole HTTP/1.1\r\nHost: HOST\r\nX-A: Grüße\r\nContent-Length: 2\r\n\r\nok')],
    ])('HTTP_INTERNAL_DONE: the complete message in data is sent, as %s, with the headers of every request', async (_what, data) => {
      await using target = await startTarget();
      const { host } = new URL(target.origin);
      const text = Buffer.from(data).toString().replace('HOST', host);
      const whole = typeof data === 'string' ? text : Buffer.from(text);
      await using thread = serveSessions(
        {
          buildRequest: ({ request }) => {
            request.data = whole;
            return HTTP_INTERNAL_DONE;
          },
        },
        { client, origin: target.origin },
      );

      expect(await thread.deliver(makeMessageJob())).toMatchObject({ kind: 'answered', status: 200 });
      const [request] = target.requests;
      expect(request).toMatchObject({ method: 'POST', path: '/whole', body: Buffer.from('ok') });
      expect(Buffer.from(request?.header('x-a') ?? '', 'latin1').toString()).toBe('Grüße');
      expect(request?.header('webhook-id')).toBe(makeMessageJob().id);
      expect(request?.headers.filter(([name]) => name.toLowerCase() === 'host')).toHaveLength(1);
      expect(thread.failures).toEqual([]);
    });

    test('HTTP_INTERNAL_FAIL and a status: nothing is sent, and the classifier gets that status', async () => {
      const { asked, statusClassifier } = createClassifier(() => DELIVERY_PERMFAILED);
      const { outcome, judgement, target } = await judge({
        statusClassifier,
        buildRequest: (session) => {
          mark(session, '410', 'no such device');
          session.request.data = 'is not sent either';
          return HTTP_INTERNAL_FAIL;
        },
      });

      expect(outcome).toMatchObject({ kind: 'unsent' });
      expect(judgement).toMatchObject({ verdict: 'permfailed', status: 410, detail: 'no such device', origin: 'module' });
      expect(asked).toEqual([[410, 'module']]);
      expect(target.requests).toEqual([]);
    });

    test.each<[string, Required<DeliveryCallbacks>['buildRequest'], RegExp | undefined]>([
      ['HTTP_INTERNAL_FAIL and no status', () => HTTP_INTERNAL_FAIL, undefined],
      ['HTTP_INTERNAL_DONE and no data', () => HTTP_INTERNAL_DONE, /without session.request.data/],
      ['another number', () => nonsense(7), /none of HTTP_INTERNAL_CONT/],
      ['null', () => nonsense(null), /none of HTTP_INTERNAL_CONT/],
      [
        'an error',
        () => {
          throw new RangeError('no token');
        },
        /^RangeError: no token$/,
      ],
      ['a rejection', () => Promise.reject(new Error('no token')), /^Error: no token$/],
      ['no result in time', () => never, /no result within 50 ms/],
      [
        'a header that is not a string',
        ({ request }) => void Object.assign(request.headers, { a: {} }),
        /header "a" to be a string, got object/,
      ],
      ['a header that HTTP does not allow', ({ request }) => void Object.assign(request.headers, { a: '1\r\nb: 2' }), /cannot be sent/],
      [
        'a body that is neither a string nor bytes',
        ({ request }) => void Object.assign(request, { body: { a: 1 } }),
        /body to be a string or a Uint8Array/,
      ],
      ['a path without a slash', ({ request }) => void Object.assign(request, { path: 'elsewhere' }), /path does not begin/],
      ['the method CONNECT', ({ request }) => void Object.assign(request, { method: 'CONNECT' }), /CONNECT is not allowed/],
    ])('%s: nothing is sent, 597, tempfailed without the classifier', async (_what, buildRequest, reported) => {
      const { asked, statusClassifier } = createClassifier(() => DELIVERY_SUCCESS);
      const { outcome, judgement, target, thread } = await judge({ buildRequest, statusClassifier });

      expect(outcome).toMatchObject({ kind: 'unsent', code: 'REQUEST_NOT_BUILT' });
      expect(judgement).toMatchObject({ verdict: 'tempfailed', status: 597, origin: 'internal' });
      expect(asked).toEqual([]);
      expect(target.requests).toEqual([]);
      const expected = { handler: 'notifications', callback: 'buildRequest', id: makeMessageJob().id };
      expect(thread.failures).toMatchObject(reported === undefined ? [] : [{ ...expected, message: expect.stringMatching(reported) }]);
    });

    test('HTTP_INTERNAL_FAIL and a status that is not an integer: 597', async () => {
      const { judgement } = await judge({
        buildRequest: (session) => {
          mark(session, 'gone');
          return HTTP_INTERNAL_FAIL;
        },
      });

      expect(judgement).toMatchObject({ verdict: 'tempfailed', status: 597, origin: 'internal' });
    });

    test('a wrong content-length is replaced, and reported once', async () => {
      await using target = await startTarget();
      await using thread = serveSessions(
        {
          buildRequest: ({ request }) => {
            request.headers['Content-Length'] = '1';
          },
        },
        { client, origin: target.origin },
      );

      for (const key of [1, 2]) await thread.deliver(makeMessageJob({ key, body: 'four' }));

      expect(target.requests.map((request) => request.header('content-length'))).toEqual(['4', '4']);
      expect(thread.failures).toMatchObject([{ callback: 'buildRequest', message: expect.stringMatching(/content-length/) }]);
    });
  });

  describe('handleResponse', () => {
    const suppressed: TargetOptions = {
      script: () => ({ kind: 'answer', status: 202, headers: [['X-NotificationStatus', 'Suppressed']], body: 'später' }),
    };

    test.each(continuations)('%s: the status line is the status, even if the module has set one', async (_what, code) => {
      const { asked, statusClassifier } = createClassifier(() => DELIVERY_SUCCESS);
      const { outcome, judgement } = await judge(
        {
          statusClassifier,
          handleResponse: (session) => {
            mark(session, '1', 'not this');
            return code();
          },
        },
        suppressed,
      );

      expect(outcome).toMatchObject({ kind: 'answered', status: 202, excerpt: 'später' });
      expect(judgement).toMatchObject({ verdict: 'success', status: 202, detail: 'Scripted', origin: 'http' });
      expect(asked).toEqual([[202, 'http']]);
    });

    test.each([
      ['HTTP_INTERNAL_DONE', HTTP_INTERNAL_DONE],
      ['HTTP_INTERNAL_FAIL', HTTP_INTERNAL_FAIL],
    ] as const)('%s and a status: the classifier gets that status', async (_what, code) => {
      const { asked, statusClassifier } = createClassifier();
      const { outcome, judgement } = await judge(
        {
          statusClassifier,
          handleResponse: (session) => {
            mark(session, '429', session.response.headers['x-notificationstatus']);
            return code;
          },
        },
        suppressed,
      );

      expect(outcome).toMatchObject({ kind: 'answered', status: 202 });
      expect(judgement).toMatchObject({ verdict: 'tempfailed', status: 429, detail: 'Suppressed', origin: 'module' });
      expect(asked).toEqual([[429, 'module']]);
    });

    test('HTTP_INTERNAL_DONE and no status: delivered without the classifier', async () => {
      const { asked, statusClassifier } = createClassifier(() => DELIVERY_PERMFAILED);
      const { judgement } = await judge(
        { statusClassifier, handleResponse: () => HTTP_INTERNAL_DONE },
        { script: () => ({ kind: 'answer', status: 500 }) },
      );

      expect(judgement).toMatchObject({ verdict: 'success', status: undefined, detail: '', origin: 'module' });
      expect(asked).toEqual([]);
    });

    test.each<[string, Required<DeliveryCallbacks>['handleResponse'], RegExp | undefined]>([
      ['HTTP_INTERNAL_FAIL and no status', () => HTTP_INTERNAL_FAIL, undefined],
      ['another number', () => nonsense(2), /none of HTTP_INTERNAL_CONT/],
      [
        'an error',
        (session) => {
          mark(session, '200');
          throw new Error('cannot read it');
        },
        /^Error: cannot read it$/,
      ],
      ['a rejection', () => Promise.reject(new Error('cannot read it')), /^Error: cannot read it$/],
      ['no result in time', () => never, /no result within 50 ms/],
      [
        'HTTP_INTERNAL_DONE and a status that is not an integer',
        (session) => {
          mark(session, '2xx');
          return HTTP_INTERNAL_DONE;
        },
        /not an integer/,
      ],
    ])('%s: 598, tempfailed without the classifier', async (_what, handleResponse, reported) => {
      const { asked, statusClassifier } = createClassifier(() => DELIVERY_SUCCESS);
      const { outcome, judgement, thread } = await judge({ handleResponse, statusClassifier });

      expect(outcome).toMatchObject({ kind: 'answered', status: 200 });
      expect(judgement).toMatchObject({ verdict: 'tempfailed', status: 598, origin: 'internal' });
      expect(asked).toEqual([]);
      const expected = { handler: 'notifications', callback: 'handleResponse', id: makeMessageJob().id };
      expect(thread.failures).toMatchObject(reported === undefined ? [] : [{ ...expected, message: expect.stringMatching(reported) }]);
    });
  });

  describe('statusClassifier', () => {
    test.each([
      ['DELIVERY_SUCCESS', DELIVERY_SUCCESS, 500, 'success'],
      ['DELIVERY_TEMPFAILED', DELIVERY_TEMPFAILED, 200, 'tempfailed'],
      ['DELIVERY_PERMFAILED', DELIVERY_PERMFAILED, 200, 'permfailed'],
    ] as const)('%s counts, regardless of the status', async (_what, verdict, status, expected) => {
      for (const given of [() => verdict, async () => verdict]) {
        const { asked, statusClassifier } = createClassifier(given);
        const { judgement } = await judge({ statusClassifier }, { script: () => ({ kind: 'answer', status }) });

        expect(judgement).toMatchObject({ verdict: expected, status, origin: 'http' });
        expect(asked).toEqual([[status, 'http']]);
      }
    });

    test.each([0, 1, 5, '2', true, undefined, null])('%j counts as tempfailed', async (value) => {
      const { judgement, thread } = await judge({ statusClassifier: () => nonsense(value) });

      expect(judgement).toMatchObject({ verdict: 'tempfailed', status: 200, origin: 'http' });
      expect(thread.failures).toMatchObject([{ callback: 'statusClassifier', message: expect.stringMatching(/none of DELIVERY_SUCCESS/) }]);
    });

    test.each<[string, () => Promise<never>]>([
      [
        'an error',
        () => {
          throw new Error('unknown');
        },
      ],
      ['a rejection', () => Promise.reject(new Error('unknown'))],
      ['no result in time', () => never],
    ])('%s: 599, tempfailed', async (_what, statusClassifier) => {
      const { judgement, thread } = await judge({ statusClassifier });

      expect(judgement).toMatchObject({ verdict: 'tempfailed', status: 599, origin: 'internal' });
      expect(thread.failures).toMatchObject([{ callback: 'statusClassifier' }]);
    });

    test('is missing: the status counts as without a module', async () => {
      const { judgement } = await judge({ handleResponse: () => HTTP_INTERNAL_CONT }, { script: () => ({ kind: 'answer', status: 418 }) });

      expect(judgement).toMatchObject({ verdict: 'unclassified', status: 418, detail: 'Scripted', origin: 'http' });
    });
  });
});

test('the constants have Momentum’s names and values', () => {
  expect([HTTP_INTERNAL_CONT, HTTP_INTERNAL_DONE, HTTP_INTERNAL_FAIL]).toEqual([0, 1, -1]);
  expect([DELIVERY_SUCCESS, DELIVERY_TEMPFAILED, DELIVERY_PERMFAILED]).toEqual([2, 3, 4]);
  expect([DLV_RESPONSE_STATUS, DLV_RESPONSE_STATUS_DETAIL]).toEqual(['DLV_RESPONSE_STATUS', 'DLV_RESPONSE_STATUS_DETAIL']);
});
