import { expect, test } from 'vitest';
import { type Clock, systemClock } from '../../src/kit/clock.ts';
import { createDeferred, type Deferred } from '../../src/kit/lifecycle.ts';
import type { Mark, Stanza } from '../../src/model/packet.ts';
import { findChild } from '../../src/packet/xml/element.ts';
import { parseStanza } from '../../src/packet/xml/parse.ts';
import { Archive } from '../../src/sources/client/archive.ts';
import { archiveIdBy, type Sighting } from '../../src/sources/client/sighting.ts';
import { readEpoch } from '../../src/sources/client/trail.ts';
import { eventually } from '../support/eventually.ts';
import { createFakeTimers } from '../support/fake-timers.ts';

test('live messages during a pull are handed over after it, without those that it has read', async () => {
  await using reading = startArchive({ mark: 'm1' });
  reading.archive.live(live('three', 'm3'));
  reading.archive.live(live('four', 'm4'));
  await reading.asked(1);
  reading.answer(['m2', 'm3'], { complete: true });
  await reading.caughtUp();

  expect(reading.handed).toEqual(['item m2 → m2', 'three → m3', 'four → m4']);
});

test('a copy without an archive id is read from the archive, so that the mark is correct', async () => {
  await using reading = startArchive({ mark: 'm1' });
  await reading.asked(1);
  reading.answer([], { complete: true });
  await reading.caughtUp();
  reading.archive.live(live('sent by a desk'));
  expect(reading.handed).toEqual([]);
  await reading.asked(2);
  expect(reading.after()).toBe('m1');
  reading.item('m2', message('sent by a desk'));
  reading.answer([], { complete: true, last: 'm2' });
  await reading.caughtUp();

  expect(reading.handed).toEqual(['sent by a desk → m2']);
});

test('a pull for a copy without an id reads after the last message, or from the base if the archive does not have that message yet', async () => {
  await using reading = startArchive({ mark: 'm1' });
  await reading.asked(1);
  reading.answer(['m2'], { complete: true });
  await reading.caughtUp();
  reading.archive.live(live('not archived yet', 'm3'));
  reading.archive.live(live('no id'));
  await reading.asked(2);
  expect(reading.after()).toBe('m3');
  reading.refuse('item-not-found');
  await reading.asked(3);
  expect(reading.after()).toBe('m1');
  reading.item('m4', message('no id'));
  reading.answer([], { complete: true, last: 'm4' });
  await reading.caughtUp();

  expect(reading.gaps()).toBe(0);
  expect(reading.handed).toEqual(['item m2 → m2', 'not archived yet → m3', 'no id → m4']);
});

test('the removal of the newest archived message is no gap', async () => {
  await using reading = startArchive({ mark: '500' });
  await reading.asked(1);
  reading.answer([], { complete: true });
  await reading.asked(2);
  reading.answer(['490'], { complete: false });
  await reading.asked(3);
  reading.answer([], { complete: true });
  await reading.caughtUp();
  expect([reading.gaps(), reading.handed]).toEqual([0, []]);
});

test('a copy that the archive does not have is handed over', async () => {
  await using reading = startArchive({ mark: 'm1' });
  await reading.asked(1);
  reading.answer([], { complete: true });
  await reading.caughtUp();
  reading.archive.live(live('kept nowhere'));
  await reading.asked(2);
  reading.answer([], { complete: true });
  await reading.caughtUp();

  expect(reading.handed).toEqual(['kept nowhere → no mark']);
});

test('a message that no archive stores is handed over at once', async () => {
  await using reading = startArchive({ mark: 'm1' });
  await reading.asked(1);
  reading.answer([], { complete: true });
  await reading.caughtUp();
  const typing =
    "<message xmlns='jabber:client' from='alice@localhost'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>";
  reading.archive.live(sighting(parseStanza(typing)));
  reading.archive.live(live('secret', undefined, "<no-store xmlns='urn:xmpp:hints'/>"));

  expect(reading.handed).toEqual([' → no mark', 'secret → no mark']);
});

test('a delayed message is read from the archive, which shows whether it was seen before', async () => {
  await using reading = startArchive({ mark: 'm2' });
  reading.archive.live(live('pushed long ago', 'm1', "<delay xmlns='urn:xmpp:delay' stamp='2026-11-22T10:00:00Z'/>"));
  await reading.asked(1);
  reading.answer([], { complete: true });
  await reading.asked(2);
  reading.answer([], { complete: true });
  await reading.caughtUp();

  expect(reading.handed).toEqual([]);
  expect(reading.duplicates()).toBe(1);
});

test('an archive that no longer has the mark is reported as a gap, and read from the time of the mark', async () => {
  await using reading = startArchive({ mark: 'm1' });
  await reading.asked(1);
  reading.refuse('item-not-found');
  await reading.asked(2);
  expect(reading.after()).toBeUndefined();
  expect(reading.queries.at(-1)?.xml).toContain('<field var="start"><value>2026-11-22T10:00:00.000Z</value></field>');
  reading.answer(['m8', 'm9'], { complete: false });
  await reading.asked(3);
  expect(reading.after()).toBe('m9');
  reading.answer([], { complete: true });
  await reading.caughtUp();

  expect(reading.gaps()).toBe(1);
  expect(reading.handed).toEqual(['item m8 → m8', 'item m9 → m9']);
});

test('an archive with an error is read again later, and live messages with an archive id wait for that', async () => {
  await using reading = startArchive({ mark: 'm1' });
  await reading.asked(1);
  reading.refuse('internal-server-error');
  await eventually(() => expect(reading.archive.trouble).toContain('internal-server-error'));
  reading.archive.live(live('two', 'm2'));
  expect(reading.handed).toEqual([]);
  reading.timers.fire();
  await reading.asked(2);
  reading.answer(['m2'], { complete: true });
  await reading.caughtUp();

  expect(reading.handed).toEqual(['item m2 → m2']);
  expect(reading.archive.trouble).toBe('');
});

test('a pull without an answer ends, and is repeated later', async () => {
  await using reading = startArchive({ mark: 'm1' });
  await reading.asked(1);
  reading.archive.live(live('no id'));
  reading.timers.fire();
  await eventually(() => expect(reading.archive.trouble).toBe('the archive of bob@localhost does not answer: no answer in time'));
  expect(reading.handed).toEqual(['no id → no mark']);
  reading.timers.fire();
  await reading.asked(2);
  reading.answer(['m2'], { complete: true });
  await reading.caughtUp();

  expect(reading.handed).toEqual(['no id → no mark', 'item m2 → m2']);
  reading.archive.close();
  expect(reading.timers.pending).toBe(0);
});

test('without an archive live messages are handed over', async () => {
  await using reading = startArchive({});
  reading.archive.live(live('one', 'm1'));
  await reading.asked(1);
  reading.refuse('service-unavailable');
  await reading.caughtUp();
  reading.archive.live(live('two'));

  expect(reading.handed).toEqual(['one → no mark', 'two → no mark']);
});

test('messages handed over while the archive was away are duplicates when it is back', async () => {
  await using reading = startArchive({ mark: 'm1' });
  reading.archive.live(live('two', 'm2'));
  await reading.asked(1);
  reading.refuse('service-unavailable');
  await reading.caughtUp();
  reading.archive.live(live('three', 'm3'));
  reading.archive.close();
  reading.archive.live(live('four', 'm4'));
  reading.archive.open();
  await reading.asked(2);
  reading.answer(['m2', 'm3', 'm4', 'm5'], { complete: true });
  await reading.caughtUp();

  expect(reading.handed).toEqual([
    ...['two → no mark', 'three → no mark', 'four → no mark'],
    ...['nothing → m2', 'nothing → m3', 'nothing → m4', 'item m5 → m5'],
  ]);
  expect(readEpoch(reading.mark())).toEqual(['m1', 'm2', 'm3', 'm4', 'm5']);
});

test('the first start begins after the newest message', async () => {
  await using reading = startArchive({});
  await reading.asked(1);
  expect(reading.queries[0]?.xml).toContain('<before/>');
  reading.answer(['m7'], { complete: false });
  await reading.caughtUp();
  reading.archive.live(live('eight', 'm8'));

  expect(reading.handed).toEqual(['nothing → m7', 'eight → m8']);
});

test('a late message with a numeric id does not move the mark back', async () => {
  await using reading = startArchive({ mark: '100' });
  await reading.asked(1);
  reading.answer(['101'], { complete: true });
  await reading.caughtUp();
  reading.archive.live(live('later', '103'));
  reading.archive.live(live('earlier', '102'));

  expect(reading.handed.slice(1)).toEqual(['later → 103', 'earlier → 102']);
  expect(readEpoch(reading.mark())).toEqual(['100', '101', '103', '102']);
});

test('a message that is archived late is found by a later pull, and after a restart', async () => {
  await using reading = startArchive({ mark: '100' });
  await reading.asked(1);
  reading.answer(['102'], { complete: true });
  await reading.caughtUp();
  reading.archive.live(live('live', '105'));
  reading.timers.fire();
  await reading.asked(2);
  expect(reading.after()).toBe('100');
  reading.answer(['102', '103', '105'], { complete: true });
  await reading.caughtUp();
  expect(reading.handed).toEqual(['item 102 → 102', 'live → 105', 'item 103 → 103']);

  await using next = startArchive({ mark: reading.mark() });
  await next.asked(1);
  expect(next.after()).toBe('100');
  next.answer(['102', '103', '104', '105'], { complete: true });
  await next.caughtUp();
  expect(next.handed).toEqual(['item 104 → 104']);
  expect(next.duplicates()).toBe(0);
});

test('pulls three more times in a session after it has caught up', async () => {
  await using reading = startArchive({ mark: 'm1' });
  await reading.asked(1);
  reading.answer([], { complete: true });
  await reading.caughtUp();
  for (const question of [2, 3, 4]) {
    reading.timers.fire();
    await reading.asked(question);
    reading.answer([], { complete: true });
    await reading.caughtUp();
  }
  expect(reading.timers.pending).toBe(0);
});

test('two messages with the same id are both handed over, live and from the archive', async () => {
  await using reading = startArchive({ mark: '100' });
  await reading.asked(1);
  reading.item('101', message('read one', { id: '101' }));
  reading.item('101', message('read two', { id: '101' }));
  reading.answer([], { complete: true, last: '101' });
  await reading.caughtUp();
  for (const body of ['live one', 'live two', 'live one']) reading.archive.live(live(body, '102'));
  expect(reading.handed).toEqual(['read one → 101', 'read two → 101', 'live one → 102', 'live two → 102']);

  await using next = startArchive({ mark: reading.mark() });
  await next.asked(1);
  for (const body of ['read one', 'read two', 'read three']) next.item('101', message(body, { id: '101' }));
  next.answer(['102', '102'], { complete: true });
  await next.caughtUp();
  expect(next.handed).toEqual(['read three → 101']);
});

test('an archive that repeats a page is reported and not read, and live messages continue', async () => {
  await using reading = startArchive({ mark: 'm1' });
  await reading.asked(1);
  reading.answer(['m2', 'm3'], { complete: false });
  await reading.asked(2);
  reading.answer(['m2', 'm3'], { complete: false });
  await eventually(() => expect(reading.archive.trouble).toContain('repeats the same page'));
  reading.archive.live(live('four', 'm4'));

  expect(reading.archive.caughtUp).toBe(false);
  expect(reading.handed).toEqual(['item m2 → m2', 'item m3 → m3', 'four → no mark']);
  expect(reading.queries).toHaveLength(2);
  expect(reading.timers.pending).toBe(0);
});

test('an archive that restarts its numbering is reported as a gap, and read from the time of the mark', async () => {
  await using reading = startArchive({ mark: '500' });
  await reading.asked(1);
  reading.answer([], { complete: true });
  await reading.asked(2);
  expect(reading.queries[1]?.xml).toContain('<before/>');
  reading.answer(['7'], { complete: false });
  await reading.asked(3);
  expect(reading.queries[2]?.xml).toContain('<value>2026-11-22T10:00:00.000Z</value>');
  reading.answer(['6', '7'], { complete: true });
  await reading.caughtUp();

  reading.timers.fire();
  await reading.asked(4);
  reading.answer([], { complete: true });
  await reading.asked(5);
  reading.answer(['7'], { complete: false });
  await reading.asked(6);
  reading.answer(['6', '7'], { complete: true });
  await reading.caughtUp();

  expect(reading.gaps()).toBe(1);
  expect(reading.handed).toEqual(['item 6 → 6', 'item 7 → 7']);
});

test('query ids are unique over restarts', async () => {
  const ids: unknown[] = [];
  for (const now of [1_000, 2_000]) {
    await using reading = startArchive({ mark: 'm1', clock: { now: () => now, monotonic: () => now } });
    await reading.asked(1);
    ids.push(reading.queries[0]?.attrs['queryid']);
  }
  expect(new Set(ids).size).toBe(2);
});

test('messages over the memory limit are not held, and the archive is read once more', async () => {
  await using reading = startArchive({ mark: 'm1', heldBytes: 250 });
  for (const id of ['m2', 'm3', 'm4']) reading.archive.live(live(`live ${id}`, id));
  await reading.asked(1);
  reading.answer([], { complete: true });
  await reading.asked(2);
  reading.answer(['m2', 'm3', 'm4'], { complete: true });
  await reading.caughtUp();

  expect(reading.handed).toEqual(['item m2 → m2', 'item m3 → m3', 'item m4 → m4']);
});

test('messages without an id are handed over when the session ends before the archive has answered', async () => {
  const reading = startArchive({ mark: 'm1' });
  reading.archive.live(live('no id'));
  reading.archive.live(live('two', 'm2'));
  reading.archive.close();

  expect(reading.handed).toEqual(['no id → no mark']);
});

interface Begin {
  readonly mark?: string;
  readonly clock?: Clock;
  readonly heldBytes?: number;
}

/** An open archive that the test answers. */
function startArchive({ mark, clock = systemClock, heldBytes = 1_000_000 }: Begin) {
  const queries: Stanza[] = [];
  const answers: Deferred<Stanza>[] = [];
  const handed: string[] = [];
  const timers = createFakeTimers();
  let last: Mark | undefined;
  let gaps = 0;
  let duplicates = 0;
  const newMark = (epoch: string, h: number): Mark => ({ attachment: 'bot', host: 'localhost', node: 'bob@localhost', epoch, h });
  const archive = new Archive({
    enabled: true,
    jid: 'bob@localhost',
    mark: mark === undefined ? undefined : newMark(mark, Date.parse('2026-11-22T10:00:00Z')),
    newMark,
    request: (child) => {
      queries.push(child);
      const answer = createDeferred<Stanza>();
      answers.push(answer);
      return answer.promise;
    },
    hand: (seen, moved) => {
      last = moved ?? last;
      handed.push(
        `${seen === undefined ? 'nothing' : seen.stanza.text('body')} → ${moved === undefined ? 'no mark' : readEpoch(moved.epoch).at(-1)}`,
      );
    },
    toSighting: (found, bytes) => ({ ...sighting(found.message), archiveId: found.id, bytes }),
    onDuplicate: () => {
      duplicates += 1;
    },
    onGap: () => {
      gaps += 1;
    },
    onChange: () => undefined,
    heldBytes,
    clock,
    timers,
  });
  archive.open();

  function item(id: string, original: Stanza): void {
    const query = queries.at(-1)?.attrs['queryid'] ?? '';
    archive.item({ query, id, message: original, time: undefined }, 100);
  }

  function answer(
    ids: readonly string[],
    { complete, last = ids.at(-1) }: { readonly complete: boolean; readonly last?: string | undefined },
  ): void {
    for (const id of ids) item(id, message(`item ${id}`, { id }));
    const rsm = `<set xmlns='http://jabber.org/protocol/rsm'>${last === undefined ? '' : `<last>${last}</last>`}</set>`;
    const fin = `<fin xmlns='urn:xmpp:mam:2'${complete ? " complete='true'" : ''}>${rsm}</fin>`;
    answers.at(-1)?.resolve(parseStanza(`<iq xmlns='jabber:client' type='result'>${fin}</iq>`));
  }

  return {
    archive,
    queries,
    handed,
    timers,
    item,
    answer,
    /** The ids of the last mark. */
    mark: () => last?.epoch ?? '',
    gaps: () => gaps,
    duplicates: () => duplicates,
    asked: (count: number) => eventually(() => expect(queries).toHaveLength(count)),
    /** Resolves when the answer has been processed: that takes promises only. */
    caughtUp: async () => {
      await new Promise(setImmediate);
      expect(archive.caughtUp).toBe(true);
    },
    after: () => findChild(queries.at(-1) ?? message(''), 'set', 'http://jabber.org/protocol/rsm')?.text('after') || undefined,
    refuse: (condition: string) => {
      const error = `<error type='cancel'><${condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>`;
      answers.at(-1)?.resolve(parseStanza(`<iq xmlns='jabber:client' type='error'>${error}</iq>`));
    },
    [Symbol.asyncDispose]: async () => archive.close(),
  };
}

function live(body: string, archiveId?: string, extra = ''): Sighting {
  return sighting(message(body, { ...(archiveId === undefined ? {} : { id: archiveId }), extra }));
}

function message(body: string, { id, extra = '' }: { readonly id?: string; readonly extra?: string } = {}): Stanza {
  const stanzaId = id === undefined ? '' : `<stanza-id xmlns='urn:xmpp:sid:0' by='bob@localhost' id='${id}'/>`;
  return parseStanza(
    `<message xmlns='jabber:client' type='chat' from='alice@localhost/phone' to='bob@localhost'><body>${body}</body>${stanzaId}${extra}</message>`,
  );
}

function sighting(stanza: Stanza): Sighting {
  const archiveId = archiveIdBy(stanza, (by) => by === 'bob@localhost');
  return { stanza, direction: 'out', session: undefined, sender: undefined, archiveId, time: undefined, bytes: 100 };
}
