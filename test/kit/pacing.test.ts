import { expect, test } from 'vitest';
import { TokenBucket } from '../../src/kit/pacing.ts';

test('allows a burst, then one request per interval', () => {
  const bucket = new TokenBucket({ requests: 10, perMs: 1000, burst: 2 });
  expect(bucket.waitMs(0)).toBe(0);
  bucket.take(0);
  expect(bucket.waitMs(0)).toBe(0);
  bucket.take(0);
  expect(bucket.waitMs(0)).toBe(100);
  expect(bucket.waitMs(99)).toBe(1);
  expect(bucket.waitMs(100)).toBe(0);
});

test('a pause earns at most the burst', () => {
  const bucket = new TokenBucket({ requests: 10, perMs: 1000, burst: 2 });
  for (let spent = 0; spent < 2; spent += 1) {
    expect(bucket.waitMs(1e9)).toBe(0);
    bucket.take(1e9);
  }
  expect(bucket.waitMs(1e9)).toBe(100);
});

test('keeps its rate over a long time, however often it is called', () => {
  const bucket = new TokenBucket({ requests: 3, perMs: 1000, burst: 1 });
  let through = 0;
  for (let now = 0; now < 10_000; now += 7) {
    if (bucket.waitMs(now) > 0) continue;
    bucket.take(now);
    through += 1;
  }
  expect(through).toBe(30);
});
