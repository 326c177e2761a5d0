import { expect, test } from 'vitest';
import type { Mark } from '../../src/model/packet.ts';
import { parseStanza } from '../../src/packet/xml/parse.ts';
import { readEpoch, Trail } from '../../src/sources/client/trail.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { keptBytes } from '../support/kept-bytes.ts';

const newMark = (epoch: string, h: number): Mark => ({ attachment: 'bot', host: 'localhost', node: 'bob@localhost', epoch, h });

function startTrail(epoch: string) {
  const clock = createFakeClock();
  const trail = new Trail({ mark: newMark(epoch, 0), newMark, clock });
  const add = (id: string, sentAt = 0) => readEpoch(trail.add({ id, sentAt }, { way: 'live', print: id }).epoch);
  return { clock, trail, add };
}

test('a mark stays behind the last message by the time that an archive may take to store one', () => {
  const { clock, add } = startTrail('1');
  expect(add('2')).toEqual(['1', '2']);
  clock.advance(60_000);
  expect(add('3')).toEqual(['1', '2', '3']);
  clock.advance(31_000);
  expect(add('4')).toEqual(['2', '3', '4']);
});

test('the size of a mark is bounded for any number of messages and any length of ids', () => {
  const { add, trail } = startTrail('0');
  let epoch: readonly string[] = [];
  for (let id = 1; id <= 3000; id += 1) epoch = add(String(id));
  expect(epoch).toHaveLength(501);
  expect(trail.base?.id).toBe('2500');
  for (let id = 0; id < 10; id += 1) epoch = add(`${id}${'x'.repeat(5000)}`);
  expect(JSON.stringify(epoch).length).toBeLessThan(20_000);
});

test('the ids of messages do not keep the messages in memory', () => {
  const { add, trail } = startTrail('0');
  const padding = 'x'.repeat(1_000_000);
  const receive = (id: string) => add(parseStanza(`<result id='${id}'>${padding}</result>`).attrs['id'] ?? '');
  const kept = keptBytes(() => {
    for (let number = 0; number < 50; number += 1) receive(`a-long-id-of-a-message-${number}`);
  });

  expect(kept).toBeLessThan(10_000_000);
  expect(trail.tip?.id).toBe('a-long-id-of-a-message-49');
});

test('the mark follows an archive that restarts its numbering', () => {
  const { clock, add } = startTrail('500');
  clock.advance(1000);
  add('1', 1_000_000);
  clock.advance(91_000);
  expect(add('2', 1_091_000)).toEqual(['1', '2']);
});

test.each(['m1', '', '["', '["a"', '["a", 1]', '[1]', 'null'])('a mark that is no list is one id: %j', (epoch) => {
  expect(readEpoch(epoch)).toEqual([epoch]);
});
