/**
 * What the account, or one of its rooms, has seen: each message once, over connections and restarts, in the order of
 * its archive (XEP-0313) where there is one. The archive's id of the last message on disk is the mark from which the
 * next life goes on.
 *
 *   closed → pulling → live ⇄ pulling     live: what comes is handed over as it comes, its ids move the mark
 *              ↓  ↑                        pulling: pages from the mark on; what comes meanwhile is held, since the
 *            stalled (an error; again later)   archive most likely holds it too, and goes last if it does not
 *   none: the server keeps no archive. What comes is handed over, at most once
 *
 * A live message that the archive should hold but that bears no id of it (some servers leave it out of carbon copies)
 * makes the source pull, so that the mark is always right.
 */
import type { Stanza } from '../../../pools/contract.ts';
import type { Clock } from '../../kit/clock.ts';
import type { Timers } from '../../kit/timers.ts';
import { within } from '../../kit/within.ts';
import type { Mark } from '../../packet/receipt.ts';
import { type ArchivePage, type ArchiveQuestion, askArchive } from './ask-archive.ts';
import { createHeld } from './held.ts';
import { createRecent } from './recent.ts';
import { type ArchiveItem, isDelayed, isKept, printOf, type Sighting } from './sighting.ts';

export interface ArchiveOptions {
  /** False: it is not asked, and what comes is handed over at most once. */
  readonly enabled: boolean;
  /** The archive's address: the account's bare JID, or the room's. */
  readonly jid: string;
  /** Where it had got to; `epoch` is the archive's id, `h` when that message was sent (ms). */
  readonly mark: Mark | undefined;
  readonly newMark: (id: string, sentAt: number) => Mark;
  readonly ask: (child: Stanza) => Promise<Stanza>;
  /** Hands over in order. Without a sighting only the mark is written. */
  readonly hand: (sighting: Sighting | undefined, mark: Mark | undefined) => void;
  /** An item as a sighting; undefined (and counted) where it is none. */
  readonly see: (item: ArchiveItem, bytes: number) => Sighting | undefined;
  readonly onDouble: () => void;
  /** The archive no longer knows the mark: what it has thrown away meanwhile was never seen. */
  readonly onGap: () => void;
  /** It is caught up, or not; see {@link Archive.trouble}. */
  readonly onChange: () => void;
  readonly heldBytes: number;
  readonly clock: Clock;
  readonly timers: Timers;
}

export interface Archive {
  /** What is missing is handed over; false: it is still asked for. */
  readonly caughtUp: boolean;
  /** Why it cannot be asked; empty while it can. */
  readonly trouble: string;
  /** A session is up and live messages come. */
  open(): void;
  /** The session is over. */
  close(): void;
  live(sighting: Sighting): void;
  /** An item that the archive answered with. */
  item(item: ArchiveItem, bytes: number): void;
  /** Looks for what was not told live. */
  pull(): void;
}

const stalledMs = 30_000;
const answerWithinMs = 120_000;
const remembered = 2000;
/** Conditions by which a server says that it keeps none. */
const absent = new Set(['feature-not-implemented', 'not-allowed', 'service-unavailable']);

export function createArchive(options: ArchiveOptions): Archive {
  const { hand, timers } = options;
  const held = createHeld();
  const recent = createRecent(remembered);
  let state: 'closed' | 'live' | 'none' | 'pulling' | 'stalled' = 'closed';
  let trouble = '';
  /** It was caught up in this session: a look for one more message does not change that. */
  let reached = false;
  let { mark } = options;
  let life = 0;
  let serial = 0;
  let query = '';
  let again = false;
  let callOffRetry: () => void = () => undefined;

  function enter(next: typeof state, reason = ''): void {
    state = next;
    trouble = reason;
    if (next !== 'pulling') reached = next === 'live' || next === 'none';
    options.onChange();
  }

  async function pull(): Promise<void> {
    const mine = life;
    again = false;
    if (state !== 'pulling') enter('pulling');
    const problem = await (mark === undefined ? begin(mine) : goOn(mine)).catch(() => undefined); // the session's end says why
    if (mine !== life) return;
    if (problem === undefined) return again ? pull() : caughtUp('live');
    if (absent.has(problem)) return caughtUp('none');
    stall(problem);
  }

  /** Nothing is known: the present is where it begins. */
  async function begin(mine: number): Promise<string | undefined> {
    const newest = await question({ before: '', max: 1 }, mine, 'looking');
    if (newest.kind === 'refused') return newest.condition;
    if (mark === undefined) move(newest.last ?? '', newest.last === undefined ? 0 : options.clock.now());
    return undefined;
  }

  async function goOn(mine: number): Promise<string | undefined> {
    let after = mark?.epoch || undefined;
    let start: number | undefined;
    for (;;) {
      const page = await question({ after, start, max: 50 }, mine, 'reading');
      if (page.kind === 'refused') {
        if (page.condition !== 'item-not-found' || after === undefined || start !== undefined) return page.condition;
        options.onGap();
        start = mark?.h ?? 0;
        after = undefined;
      } else if (page.complete || page.last === undefined || mine !== life) return undefined;
      else after = page.last;
    }
  }

  /** `looking`: what it answers with is not handed over. */
  function question(asked: Omit<ArchiveQuestion, 'id'>, mine: number, how: 'looking' | 'reading'): Promise<ArchivePage> {
    serial += 1;
    const id = `${options.jid} ${mine}.${serial}`;
    query = how === 'reading' ? id : '';
    return inTime(askArchive(options.ask, { id, ...asked }));
  }

  /** An answer may be lost on its way (the room's server, a module that is loaded anew): live messages wait for it. */
  async function inTime(answer: Promise<ArchivePage>): Promise<ArchivePage> {
    const answered = await within(answer, answerWithinMs, timers);
    return answered ? answer : { kind: 'refused', condition: 'no answer in time' };
  }

  function move(id: string, sentAt: number): void {
    mark = options.newMark(id, sentAt);
    hand(undefined, mark);
  }

  function give(sighting: Sighting | undefined, id: string, sentAt: number): void {
    recent.add(id);
    if (mark === undefined || !isOlder(id, mark.epoch)) mark = options.newMark(id, sentAt);
    hand(sighting, mark);
  }

  function item(found: ArchiveItem, bytes: number): void {
    if (query === '' || found.query !== query) return options.onDouble();
    const print = printOf(found.message);
    const live = held.take(found.id, print);
    if (recent.has(found.id)) return options.onDouble();
    const known = recent.has(print); // it came live, without an id, and was taken for one that the archive does not hold
    if (known) options.onDouble();
    give(known ? undefined : (live ?? options.see(found, bytes)), found.id, found.time ?? options.clock.now());
  }

  function live(sighting: Sighting): void {
    const { archiveId, stanza } = sighting;
    if (archiveId !== undefined && recent.has(archiveId)) return options.onDouble();
    if (state === 'none' || state === 'closed') return handAnyway(sighting);
    if (archiveId !== undefined && isDelayed(stanza)) {
      options.onDouble(); // the archive says whether it was seen before
      return lookFor();
    }
    if (state === 'stalled') return besideTheArchive(sighting);
    if (state === 'pulling') return hold(sighting);
    if (archiveId !== undefined) return give(sighting, archiveId, options.clock.now());
    if (!isKept(stanza)) return pass(sighting);
    hold(sighting);
    lookFor();
  }

  function lookFor(): void {
    if (state === 'pulling') again = true;
    else if (state === 'live') void pull();
  }

  function hold(sighting: Sighting): void {
    held.add(sighting, printOf(sighting.stanza));
    if (held.bytes <= options.heldBytes) return;
    again = true;
    for (const one of held.takeAll()) besideTheArchive(one);
  }

  /** What bears an id is in the archive, and will be found there. */
  function besideTheArchive(sighting: Sighting): void {
    if (sighting.archiveId === undefined || mark === undefined) pass(sighting);
  }

  function pass(sighting: Sighting): void {
    const { archiveId, stanza } = sighting;
    if (archiveId !== undefined) return give(sighting, archiveId, options.clock.now());
    if (stanza.attrs['id'] !== undefined) recent.add(printOf(stanza)); // without one, two that look alike may be two
    hand(sighting, undefined);
  }

  /** Nothing is asked now. The next session may find it in the archive, and then it is known. */
  function handAnyway(sighting: Sighting): void {
    if (sighting.archiveId !== undefined) recent.add(sighting.archiveId);
    hand(sighting, undefined);
  }

  function caughtUp(next: 'live' | 'none'): void {
    query = '';
    for (const sighting of held.takeAll()) (next === 'live' ? pass : handAnyway)(sighting);
    enter(next);
  }

  function stall(condition: string): void {
    query = '';
    for (const sighting of held.takeAll()) besideTheArchive(sighting);
    enter('stalled', `the archive of ${options.jid} does not answer: ${condition}`);
    callOffRetry = timers.after(stalledMs, () => void pull());
  }

  return {
    get caughtUp() {
      return reached;
    },
    get trouble() {
      return trouble;
    },
    open: () => {
      life += 1;
      if (options.enabled) void pull();
      else enter('none');
    },
    close: () => {
      life += 1;
      callOffRetry();
      query = '';
      for (const sighting of held.takeAll()) if (sighting.archiveId === undefined) pass(sighting);
      state = 'closed';
      reached = false;
    },
    live,
    item,
    pull: () => {
      if (state === 'live') void pull();
    },
  };
}

/** Where ids are plain numbers (ejabberd's are the time), one that comes late does not set the mark back. */
function isOlder(id: string, than: string): boolean {
  return /^\d+$/.test(id) && /^\d+$/.test(than) && BigInt(id) < BigInt(than);
}
