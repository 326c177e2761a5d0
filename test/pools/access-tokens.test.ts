import { expect, test } from 'vitest';
import { AccessTokens, type TokenAnswer } from '../../pools/access-tokens.ts';
import { createDeferred, type Deferred } from '../../src/kit/lifecycle.ts';
import { createFakeClock } from '../support/fake-clock.ts';

const token = (text: string, lifetimeMs = 100_000): TokenAnswer => ({ kind: 'token', token: text, lifetimeMs });
const failed: TokenAnswer = { kind: 'failed', reason: 'status 503' };

/** Tokens whose requests the test answers, and the answers that were used. */
function rig() {
  const clock = createFakeClock();
  const asked: Deferred<TokenAnswer>[] = [];
  const used: string[] = [];
  const request = (): Promise<TokenAnswer> => {
    const deferred = createDeferred<TokenAnswer>();
    asked.push(deferred);
    return deferred.promise;
  };
  const tokens = new AccessTokens({ request, clock, random: () => 0.5 });
  const take = (): void => tokens.take((answer) => used.push(answer.kind === 'token' ? answer.token : answer.reason));
  const answer = async (given: TokenAnswer): Promise<void> => {
    asked.at(-1)?.resolve(given);
    await asked.at(-1)?.promise;
    await Promise.resolve();
  };
  return { clock, tokens, take, answer, used, requests: () => asked.length };
}

test('all that wait for a token share one request', async () => {
  const { take, answer, used, requests } = rig();
  for (let count = 0; count < 3; count += 1) take();
  expect([requests(), used]).toEqual([1, []]);
  await answer(token('a'));
  take();
  expect([requests(), used]).toEqual([1, ['a', 'a', 'a', 'a']]);
});

test('a token is renewed in the background before it expires, and used until the new one is there', async () => {
  const { clock, take, answer, used, requests } = rig();
  take();
  await answer(token('a'));
  clock.advance(79_999);
  take();
  expect(requests()).toBe(1);
  clock.advance(1);
  for (let count = 0; count < 2; count += 1) take();
  expect(requests()).toBe(2);
  await answer(token('b'));
  take();
  expect(used).toEqual(['a', 'a', 'a', 'a', 'b']);
});

test('a failed renewal is repeated after a wait, while the token is valid, and requests wait when it has expired', async () => {
  const { clock, take, answer, used, requests } = rig();
  take();
  await answer(token('a'));
  clock.advance(80_000);
  take();
  await answer(failed);
  take();
  expect(requests()).toBe(2);
  clock.advance(1000);
  take();
  expect(requests()).toBe(3);
  await answer(failed);
  clock.advance(20_000);
  take();
  expect([requests(), used]).toEqual([4, ['a', 'a', 'a', 'a']]);
  await answer(token('b'));
  expect(used.at(-1)).toBe('b');
});

test('after failures the endpoint is asked again after waits that double, up to a minute; until then requests fail at once', async () => {
  const { clock, take, answer, used, requests } = rig();
  for (const waitMs of [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]) {
    const before = requests();
    take();
    expect(requests()).toBe(before + 1);
    await answer(failed);
    clock.advance(waitMs - 1);
    take();
    expect([requests(), used.at(-1)]).toEqual([before + 1, 'status 503']);
    clock.advance(1);
  }
  expect(used).toHaveLength(16);
});

test('a token that the backend refuses is replaced, at most every 30 seconds; one that is replaced already is not', async () => {
  const { clock, tokens, take, answer, used, requests } = rig();
  take();
  await answer(token('a'));
  tokens.refused('a');
  take();
  await answer(token('b'));
  tokens.refused('a');
  tokens.refused('b');
  take();
  expect([requests(), used]).toEqual([2, ['a', 'b', 'b']]);
  clock.advance(30_000);
  tokens.refused('b');
  take();
  expect(requests()).toBe(3);
});

test('a token that the backend refuses stays in use if the server gives no other, and until then requests wait', async () => {
  const { clock, tokens, take, answer, used, requests } = rig();
  take();
  await answer(token('a'));
  tokens.refused('a');
  take();
  expect([requests(), used]).toEqual([2, ['a']]);
  await answer(failed);
  take();
  expect([requests(), used]).toEqual([2, ['a', 'a', 'a']]);
  clock.advance(1000);
  take();
  await answer(token('b'));
  expect([requests(), used.slice(3)]).toEqual([3, ['b']]);
  clock.advance(100_000);
  take();
  await answer(failed);
  expect(used.at(-1)).toBe('status 503');
});

test('tokens are removed from texts, earlier ones included', async () => {
  const { tokens, take, answer } = rig();
  take();
  await answer(token('abc'));
  tokens.refused('abc');
  take();
  await answer(token('def'));
  expect(tokens.mask('got abc and def')).toBe('got *** and ***');
});

test('a text never grows when its tokens are masked, however short an OAuth server makes them', async () => {
  const { tokens, take, answer } = rig();
  take();
  await answer(token('e'));
  expect(tokens.mask('see the tree')).toBe('s** th* tr**');
});
