import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createRfc3339 } from '../../src/kit/clock.ts';

test('formats instants as Date does, independent of earlier calls', () => {
  const instant = fc.integer({ min: Date.UTC(0, 0), max: Date.UTC(9999, 11, 31) });
  const nearby = instant.chain((at) => fc.array(fc.integer({ min: -1500, max: 1500 }).map((ms) => at + ms)));

  fc.assert(
    fc.property(nearby, (instants) => {
      const rfc3339 = createRfc3339();

      expect(instants.map(rfc3339)).toEqual(instants.map((at) => new Date(at).toISOString()));
    }),
  );
});
