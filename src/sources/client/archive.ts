/**
 * What the account, or one of its rooms, has seen: each message once, over connections and restarts, in the order of
 * its archive (XEP-0313) where there is one. Its {@link Trail} gives the position at which the next session continues.
 *
 *   closed → pulling → live ⇄ pulling     live: what comes is handed over as it comes, its ids move the mark
 *              ↓  ↑                        pulling: pages from the mark on; what comes meanwhile is held, since the
 *            stalled (an error; again later)   archive most likely holds it too, and goes last if it does not
 *   none: the server keeps no archive, or one that cannot be read. Live messages are handed over, at most once
 *
 * A live message that the archive should hold but that has no id of it (some servers leave it out of carbon copies)
 * makes the source pull, so that the mark is always correct. Some time after it has caught up it pulls again, because a message
 * that the server stores late is not delivered live.
 */
import type { Mark } from '../../model/packet.ts';
import { endBy, Pager, type PagerOptions, type PullEnd } from './ask-archive.ts';
import { createHeld } from './held.ts';
import { type ArchiveItem, isDelayed, isKept, printOf, type Sighting } from './sighting.ts';
import { type Point, type Sight, Trail } from './trail.ts';

export interface ArchiveOptions extends PagerOptions {
  /** False: it is not asked, and what comes is handed over at most once. */
  readonly enabled: boolean;
  /** The position; `epoch` encodes the trail, `h` is the send time of the message after which reading starts (ms). */
  readonly mark: Mark | undefined;
  readonly newMark: (epoch: string, h: number) => Mark;
  /** Hands over in order. Without a sighting only the mark is written. */
  readonly hand: (sighting: Sighting | undefined, mark: Mark | undefined) => void;
  /** An item as a sighting; undefined (and counted) where it is none. */
  readonly see: (item: ArchiveItem, bytes: number) => Sighting | undefined;
  readonly onDouble: () => void;
  /** It is caught up, or not; see {@link Archive.trouble}. */
  readonly onChange: () => void;
  readonly heldBytes: number;
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
  /** Records an unreadable message, received live or as an item of `query`. False: it was known. */
  lose(id: string, query: string | undefined): boolean;
  /** Looks for what was not told live. */
  pull(): void;
}

const stalledMs = 30_000;
/** When it pulls again after it has caught up in a session. */
const lateLooksMs = [5_000, 15_000, 40_000];

export function createArchive(options: ArchiveOptions): Archive {
  const { hand, jid, timers } = options;
  const held = createHeld();
  const trail = new Trail(options);
  const pager = new Pager(options);
  let state: 'closed' | 'live' | 'none' | 'pulling' | 'stalled' = 'closed';
  let trouble = '';
  /** It was caught up in this session: a look for one more message does not change that. */
  let reached = false;
  let life = 0;
  let again: From | undefined;
  let callOff: () => void = () => undefined;

  function enter(next: typeof state, reason = ''): void {
    state = next;
    trouble = reason;
    if (next !== 'pulling') reached = reason === '';
    options.onChange();
  }

  async function pull(from: From = 'base'): Promise<void> {
    const mine = life;
    again = undefined;
    if (state !== 'pulling') enter('pulling');
    const { base, tip } = trail;
    const pulled = base === undefined ? begin() : pager.readOn(base, () => mine !== life, from === 'tip' ? tip : base);
    const end = await pulled.catch(() => undefined);
    if (mine !== life || end === undefined) return; // the end of the session is reported elsewhere
    if (end.kind === 'read') return again === undefined ? caughtUp('live') : pull(again);
    if (end.kind === 'none') return caughtUp('none', end.reason);
    stall(end.condition);
  }

  /** Nothing is known: the present is where it begins. */
  async function begin(): Promise<PullEnd> {
    const newest = await pager.newest();
    if (newest.kind === 'refused') return endBy(newest.condition);
    const point = newest.last === undefined ? { id: '', sentAt: 0 } : { id: newest.last, sentAt: options.clock.now() };
    if (trail.base === undefined) hand(undefined, trail.begin(point));
    return { kind: 'read' };
  }

  function give(sighting: Sighting | undefined, { id, sentAt, sight }: Found): void {
    hand(sighting, trail.add({ id, sentAt }, sight));
  }

  function giveLive(sighting: Sighting, id: string): void {
    give(sighting, { id, sentAt: options.clock.now(), sight: { way: 'live', print: printOf(sighting.stanza) } });
  }

  function item(found: ArchiveItem, bytes: number): void {
    const { id, query, time } = found;
    if (!pager.expects(query)) return pager.isLook(query) ? undefined : options.onDouble();
    const sight: Sight = { way: 'archived', print: printOf(found.message) };
    const live = held.take(id, sight.print);
    const sentAt = time ?? options.clock.now();
    if (trail.knows(id, sight)) return confirm({ id, sentAt });
    const known = trail.hasPrint(sight.print); // received live without an id, and assumed not to be in the archive
    if (known) options.onDouble();
    const sighting = known ? undefined : (live ?? options.see(found, bytes));
    give(sighting, { id, sentAt, sight });
  }

  function confirm(point: Point): void {
    const mark = trail.confirm(point);
    if (mark !== undefined) hand(undefined, mark);
  }

  function live(sighting: Sighting): void {
    const { archiveId, stanza } = sighting;
    if (archiveId !== undefined && trail.knows(archiveId, { way: 'live', print: printOf(stanza) })) return options.onDouble();
    if (state === 'none' || state === 'closed') return handAnyway(sighting);
    if (archiveId !== undefined && isDelayed(stanza)) {
      options.onDouble(); // the archive says whether it was seen before
      return lookFor();
    }
    if (state === 'stalled') return besideTheArchive(sighting);
    if (state === 'pulling') return hold(sighting);
    if (archiveId !== undefined) return giveLive(sighting, archiveId);
    if (!isKept(stanza)) return pass(sighting);
    hold(sighting);
    lookFor('tip');
  }

  function lose(id: string, query: string | undefined): boolean {
    const name = `unreadable ${id}`;
    const sight: Sight = { way: query === undefined ? 'live' : 'archived', print: name };
    if (trail.knows(id, sight)) return false;
    const isNew = !trail.hasPrint(name);
    const moves = query === undefined ? state === 'live' : pager.expects(query);
    if (moves) give(undefined, { id, sentAt: options.clock.now(), sight });
    else trail.addPrint(name); // a pull that is in progress may reach it later
    return isNew;
  }

  function lookFor(from: From = 'base'): void {
    if (state === 'pulling') again = again === 'base' ? again : from;
    else if (state === 'live') void pull(from);
  }

  function hold(sighting: Sighting): void {
    held.add(sighting, printOf(sighting.stanza));
    if (held.bytes <= options.heldBytes) return;
    again = 'base';
    for (const one of held.takeAll()) besideTheArchive(one);
  }

  /** A message with an id is in the archive, and a pull will find it. */
  function besideTheArchive(sighting: Sighting): void {
    if (sighting.archiveId === undefined || trail.base === undefined) pass(sighting);
  }

  function pass(sighting: Sighting): void {
    const { archiveId, stanza } = sighting;
    if (archiveId !== undefined) return giveLive(sighting, archiveId);
    if (stanza.attrs['id'] !== undefined) trail.addPrint(printOf(stanza)); // without an id, two equal prints may be two messages
    hand(sighting, undefined);
  }

  /** Nothing is asked now. The next session may find it in the archive, and then it is known. */
  function handAnyway(sighting: Sighting): void {
    const { archiveId, stanza } = sighting;
    if (archiveId !== undefined) trail.addPassing(archiveId, { way: 'live', print: printOf(stanza) });
    hand(sighting, undefined);
  }

  function caughtUp(next: 'live' | 'none', reason = ''): void {
    pager.stop();
    for (const sighting of held.takeAll()) (next === 'live' ? pass : handAnyway)(sighting);
    if (next === 'live' && !reached) lookLater(lateLooksMs);
    enter(next, reason);
  }

  function lookLater([next, ...others]: readonly number[]): void {
    if (next === undefined) return;
    callOff();
    callOff = timers.after(next, () => {
      lookLater(others);
      lookFor();
    });
  }

  function stall(condition: string): void {
    pager.stop();
    for (const sighting of held.takeAll()) besideTheArchive(sighting);
    enter('stalled', `the archive of ${jid} does not answer: ${condition}`);
    callOff();
    callOff = timers.after(stalledMs, () => void pull());
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
      callOff();
      pager.stop();
      for (const sighting of held.takeAll()) if (sighting.archiveId === undefined) pass(sighting);
      state = 'closed';
      reached = false;
    },
    live,
    item,
    lose,
    pull: () => {
      if (state === 'live') void pull();
    },
  };
}

/** Where reading begins: see {@link Trail}. */
type From = 'base' | 'tip';

interface Found extends Point {
  readonly sight: Sight;
}
