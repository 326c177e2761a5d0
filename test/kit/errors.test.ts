import { expect, test } from 'vitest';
import { messageOf } from '../../src/kit/errors.ts';

const refused = Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:5347'), { code: 'ECONNREFUSED' });
const noRoute = Object.assign(new Error(''), { code: 'ENETUNREACH' });

test.each([
  ['its own message', new Error('disk full'), 'disk full'],
  ['those of the errors that it gathers', new AggregateError([refused, noRoute]), 'connect ECONNREFUSED 127.0.0.1:5347; ENETUNREACH'],
  ['its own message before theirs', new AggregateError([refused], 'both failed'), 'both failed'],
  ['what gathered errors gather', new AggregateError([new AggregateError([refused, 'odd'])]), 'connect ECONNREFUSED 127.0.0.1:5347; odd'],
  ['its code, without a message', noRoute, 'ENETUNREACH'],
  ['its name, without anything else', new AggregateError([]), 'AggregateError'],
])('an error says %s', (_what, error, text) => {
  expect(messageOf(error)).toBe(text);
});
