import { expect, test } from 'vitest';
import { loggable, messageOf, toError } from '../../src/kit/errors.ts';

const refused = Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:5347'), { code: 'ECONNREFUSED' });
const noRoute = Object.assign(new Error(''), { code: 'ENETUNREACH' });

test.each([
  ['its own message', new Error('disk full'), 'disk full'],
  ['the messages of its errors', new AggregateError([refused, noRoute]), 'connect ECONNREFUSED 127.0.0.1:5347; ENETUNREACH'],
  ['its own message in preference to those of its errors', new AggregateError([refused], 'both failed'), 'both failed'],
  ['the messages of nested errors', new AggregateError([new AggregateError([refused, 'odd'])]), 'connect ECONNREFUSED 127.0.0.1:5347; odd'],
  ['its code if it has no message', noRoute, 'ENETUNREACH'],
  ['its name if it has nothing else', new AggregateError([]), 'AggregateError'],
])('the message of an error is %s', (_what, error, text) => {
  expect(messageOf(error)).toBe(text);
});

function revoked(target: object): unknown {
  const { proxy, revoke } = Proxy.revocable(target, {});
  revoke();
  return proxy;
}

const throwing = {
  get: () => {
    throw new Error('on purpose');
  },
};

test.each([
  ['nothing', undefined],
  ['an object without a prototype', Object.create(null)],
  ['a revoked proxy', revoked({})],
  ['an error behind a revoked proxy', revoked(new Error('x'))],
  ['an error whose message throws', Object.defineProperty(new Error('x'), 'message', throwing)],
  ['an error whose stack throws', Object.defineProperty(new Error('x'), 'stack', throwing)],
  ['an error whose name is not a string', Object.defineProperty(new Error('x'), 'name', { value: Symbol('x') })],
  ['an error whose message is not a string', Object.defineProperty(new Error('x'), 'message', { value: {} })],
  ['an error whose stack is not a string', Object.defineProperty(new Error('x'), 'stack', { value: 1 })],
])('converts %s to an error that can be logged', (_what, thrown) => {
  const error = toError(thrown);
  expect([typeof error.name, typeof error.message, typeof error.stack]).toEqual(['string', 'string', 'string']);
  expect(loggable(error, 'stack')).toBeTypeOf('string');
});

test('returns an error unchanged if it can be logged', () => {
  const error = new TypeError('x', { cause: 1 });
  expect(toError(error)).toBe(error);
});
