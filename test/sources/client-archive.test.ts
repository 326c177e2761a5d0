import { expect, test } from 'vitest';
import { type Clock, systemClock } from '../../src/kit/clock.ts';
import { createDeferred, type Deferred } from '../../src/kit/lifecycle.ts';
import type { Mark, Stanza } from '../../src/model/packet.ts';
import { findChild } from '../../src/packet/xml/element.ts';
import { parseStanza } from '../../src/packet/xml/parse.ts';
import { createArchive } from '../../src/sources/client/archive.ts';
import { archiveIdBy, type Sighting } from '../../src/sources/client/sighting.ts';
import { readEpoch } from '../../src/sources/client/trail.ts';
import { eventually } from '../support/eventually.ts';
import { createFakeTimers } from '../support/fake-timers.ts';

test('what comes while it reads is handed over behind it, and what it has read not again', async () => {
  await using reading = startArchive({ mark: 'm1' });
  reading.archive.live(live('three', 'm3'));
  reading.archive.live(live('four', 'm4'));
  await reading.asked(1);
  reading.answer(['m2', 'm3'], { complete: true });
  await reading.caughtUp();

  expect(reading.handed).toEqual(['item m2 → m2', 'three → m3', 'four → m4']);
});

test('a copy that bears no id of the archive is looked for there, so that the mark is right', async () => {
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

test('a copy that has no id is looked for behind what was read last, or further back where the archive does not have that yet', async () => {
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

test('an archive whose newest message was removed is no gap', async () => {
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

test('a copy that the archive does not hold is handed over all the same', async () => {
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

test('what no archive holds is handed over at once', async () => {
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

test('what the server had kept for later is not taken for new: the archive says whether it was seen', async () => {
  await using reading = startArchive({ mark: 'm2' });
  reading.archive.live(live('pushed long ago', 'm1', "<delay xmlns='urn:xmpp:delay' stamp='2026-11-22T10:00:00Z'/>"));
  await reading.asked(1);
  reading.answer([], { complete: true });
  await reading.asked(2);
  reading.answer([], { complete: true });
  await reading.caughtUp();

  expect(reading.handed).toEqual([]);
  expect(reading.doubles()).toBe(1);
});

test('an archive that has forgotten the mark is told as a gap, and read from its time on', async () => {
  await using reading = startArchive({ mark: 'm1' });
  await reading.asked(1);
  reading.refuse('item-not-found');
  await reading.asked(2);
  expect(reading.after()).toBeUndefined();
  expect(reading.questions.at(-1)?.xml).toContain('<field var="start"><value>2026-11-22T10:00:00.000Z</value></field>');
  reading.answer(['m8', 'm9'], { complete: false });
  await reading.asked(3);
  expect(reading.after()).toBe('m9');
  reading.answer([], { complete: true });
  await reading.caughtUp();

  expect(reading.gaps()).toBe(1);
  expect(reading.handed).toEqual(['item m8 → m8', 'item m9 → m9']);
});

test('an archive out of order is asked again later, and what it holds is not handed over before it', async () => {
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

test('an archive that never answers is given up, and asked again later', async () => {
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

test('a server without an archive is believed', async () => {
  await using reading = startArchive({});
  reading.archive.live(live('one', 'm1'));
  await reading.asked(1);
  reading.refuse('service-unavailable');
  await reading.caughtUp();
  reading.archive.live(live('two'));

  expect(reading.handed).toEqual(['one → no mark', 'two → no mark']);
});

test('what was handed over while the archive was away is known when it is there again', async () => {
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

test('the first start of all begins behind the newest message', async () => {
  await using reading = startArchive({});
  await reading.asked(1);
  expect(reading.questions[0]?.xml).toContain('<before/>');
  reading.answer(['m7'], { complete: false });
  await reading.caughtUp();
  reading.archive.live(live('eight', 'm8'));

  expect(reading.handed).toEqual(['nothing → m7', 'eight → m8']);
});

test('where ids are numbers, one that comes late does not set the mark back', async () => {
  await using reading = startArchive({ mark: '100' });
  await reading.asked(1);
  reading.answer(['101'], { complete: true });
  await reading.caughtUp();
  reading.archive.live(live('later', '103'));
  reading.archive.live(live('earlier', '102'));

  expect(reading.handed.slice(1)).toEqual(['later → 103', 'earlier → 102']);
  expect(readEpoch(reading.mark())).toEqual(['100', '101', '103', '102']);
});

test('what the archive stores late is found by a later look, and by the next life', async () => {
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
  expect(next.doubles()).toBe(0);
});

test('looks for what is stored late a few times in a session, and no more', async () => {
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

test('two messages with the same id are two, live and in the archive', async () => {
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

test('an archive that gives the same page again is not read on, is told, and mutes nothing', async () => {
  await using reading = startArchive({ mark: 'm1' });
  await reading.asked(1);
  reading.answer(['m2', 'm3'], { complete: false });
  await reading.asked(2);
  reading.answer(['m2', 'm3'], { complete: false });
  await eventually(() => expect(reading.archive.trouble).toContain('the same page again and again'));
  reading.archive.live(live('four', 'm4'));

  expect(reading.archive.caughtUp).toBe(false);
  expect(reading.handed).toEqual(['item m2 → m2', 'item m3 → m3', 'four → no mark']);
  expect(reading.questions).toHaveLength(2);
  expect(reading.timers.pending).toBe(0);
});

test('an archive that counts from 1 again is told as a gap, and read from the time of the mark on', async () => {
  await using reading = startArchive({ mark: '500' });
  await reading.asked(1);
  reading.answer([], { complete: true });
  await reading.asked(2);
  expect(reading.questions[1]?.xml).toContain('<before/>');
  reading.answer(['7'], { complete: false });
  await reading.asked(3);
  expect(reading.questions[2]?.xml).toContain('<value>2026-11-22T10:00:00.000Z</value>');
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

test('no question has the id of one of an earlier life', async () => {
  const ids: unknown[] = [];
  for (const now of [1_000, 2_000]) {
    await using reading = startArchive({ mark: 'm1', clock: { now: () => now, monotonic: () => now } });
    await reading.asked(1);
    ids.push(reading.questions[0]?.attrs['queryid']);
  }
  expect(new Set(ids).size).toBe(2);
});

test('more than it may hold does not wait in memory: the archive is read once more', async () => {
  await using reading = startArchive({ mark: 'm1', heldBytes: 250 });
  for (const id of ['m2', 'm3', 'm4']) reading.archive.live(live(`live ${id}`, id));
  await reading.asked(1);
  reading.answer([], { complete: true });
  await reading.asked(2);
  reading.answer(['m2', 'm3', 'm4'], { complete: true });
  await reading.caughtUp();

  expect(reading.handed).toEqual(['item m2 → m2', 'item m3 → m3', 'item m4 → m4']);
});

test('what bears no id is not lost when the session ends before the archive has answered', async () => {
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

/** An archive that is open; the test gives its answers. */
function startArchive({ mark, clock = systemClock, heldBytes = 1_000_000 }: Begin) {
  const questions: Stanza[] = [];
  const answers: Deferred<Stanza>[] = [];
  const handed: string[] = [];
  const timers = createFakeTimers();
  let last: Mark | undefined;
  let gaps = 0;
  let doubles = 0;
  const newMark = (epoch: string, h: number): Mark => ({ attachment: 'bot', host: 'localhost', node: 'bob@localhost', epoch, h });
  const archive = createArchive({
    enabled: true,
    jid: 'bob@localhost',
    mark: mark === undefined ? undefined : newMark(mark, Date.parse('2026-11-22T10:00:00Z')),
    newMark,
    ask: (child) => {
      questions.push(child);
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
    see: (found, bytes) => ({ ...sighting(found.message), archiveId: found.id, bytes }),
    onDouble: () => {
      doubles += 1;
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
    const query = questions.at(-1)?.attrs['queryid'] ?? '';
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
    questions,
    handed,
    timers,
    item,
    answer,
    /** What the last mark says. */
    mark: () => last?.epoch ?? '',
    gaps: () => gaps,
    doubles: () => doubles,
    asked: (count: number) => eventually(() => expect(questions).toHaveLength(count)),
    /** All that the answer sets off is done: nothing of it waits for more than promises. */
    caughtUp: async () => {
      await new Promise(setImmediate);
      expect(archive.caughtUp).toBe(true);
    },
    after: () => findChild(questions.at(-1) ?? message(''), 'set', 'http://jabber.org/protocol/rsm')?.text('after') || undefined,
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
