/**
 * The messages of the account, or of one of its rooms: each once, over connections and restarts, in the order of the archive
 * (XEP-0313) if there is one. Its {@link Trail} gives the position at which the next session continues.
 *
 *   closed → pulling → live ⇄ pulling     live: messages are handed over as they arrive, and their ids move the mark
 *              ↓  ↑                        pulling: pages from the mark on; live messages are held meanwhile, since the
 *            stalled (an error; retried)    archive most likely has them too, and handed over last if it does not
 *   none: the server has no archive, or an unreadable one. Live messages are handed over, at most once
 *
 * A live message that the archive should have but that has no archive id (some servers omit it in carbon copies) causes a
 * pull, so that the mark is always correct. Some time after it has caught up, the source pulls again, because a message that
 * the server stores late is not delivered live.
 */
import type { Mark } from '../../model/packet.ts';
import { ArchivePager, endByCondition, type PagerOptions, type PullEnd } from './archive-pager.ts';
import { type ArchiveItem, isDelayed, isKept, printOf, type Sighting } from './sighting.ts';
import { type Point, type Sight, Trail, type TrailOptions } from './trail.ts';

interface ArchiveOptions extends PagerOptions, TrailOptions {
  /** False: the archive is not read, and live messages are handed over at most once. */
  readonly enabled: boolean;
  /** Hands over in order. Without a sighting only the mark is written. */
  readonly hand: (sighting: Sighting | undefined, mark: Mark | undefined) => void;
  /** An item as a sighting; undefined (and counted) if it becomes no packet. */
  readonly toSighting: (item: ArchiveItem, bytes: number) => Sighting | undefined;
  readonly onDuplicate: () => void;
  /** {@link Archive.caughtUp} or {@link Archive.trouble} has changed. */
  readonly onChange: () => void;
  /** Maximum size of the live messages that are held while a pull is in progress. */
  readonly heldBytes: number;
}

/** The point from which a pull reads: see {@link Trail}. */
type From = 'base' | 'tip';

const stalledMs = 30_000;
/** Waits between the further pulls after a session has caught up. */
const latePullsMs = [5_000, 15_000, 40_000];

export class Archive {
  readonly #options: ArchiveOptions;
  readonly #held = new HeldMessages();
  readonly #trail: Trail;
  readonly #pager: ArchivePager;
  #state: 'closed' | 'live' | 'none' | 'pulling' | 'stalled' = 'closed';
  #trouble = '';
  #caughtUp = false;
  /** Number of the session, so that an answer to an earlier one is ignored. */
  #session = 0;
  /** The pull to start when the current one has ended. */
  #nextPull: From | undefined;
  #cancelTimer: () => void = () => undefined;

  constructor(options: ArchiveOptions) {
    this.#options = options;
    this.#trail = new Trail(options);
    this.#pager = new ArchivePager(options);
  }

  /** Whether all missed messages were handed over in this session; a later pull for one more message does not change that. */
  get caughtUp(): boolean {
    return this.#caughtUp;
  }

  /** Why the archive cannot be read; empty while it can. */
  get trouble(): string {
    return this.#trouble;
  }

  /** A session is up and live messages arrive. */
  open(): void {
    this.#session += 1;
    if (this.#options.enabled) void this.#pull('base');
    else this.#enter('none');
  }

  /** The session is over. */
  close(): void {
    this.#session += 1;
    this.#cancelTimer();
    this.#pager.stop();
    for (const sighting of this.#held.takeAll()) if (sighting.archiveId === undefined) this.#pass(sighting);
    this.#state = 'closed';
    this.#caughtUp = false;
  }

  /** Reads messages that were not delivered live. */
  pull(): void {
    if (this.#state === 'live') void this.#pull('base');
  }

  /** A message was received live. */
  live(sighting: Sighting): void {
    const { archiveId, stanza } = sighting;
    if (archiveId !== undefined && this.#trail.knows(archiveId, { way: 'live', print: printOf(stanza) }))
      return this.#options.onDuplicate();
    if (this.#state === 'none' || this.#state === 'closed') return this.#handWithoutMark(sighting);
    if (archiveId !== undefined && isDelayed(stanza)) {
      this.#options.onDuplicate(); // whether it was seen before, the archive shows
      return this.#requestPull('base');
    }
    if (this.#state === 'stalled') return this.#passUnlessArchived(sighting);
    if (this.#state === 'pulling') return this.#hold(sighting);
    if (archiveId !== undefined) return this.#handLive(sighting, archiveId);
    if (!isKept(stanza)) return this.#pass(sighting);
    this.#hold(sighting);
    this.#requestPull('tip');
  }

  /** An item has arrived from the archive. */
  item(item: ArchiveItem, bytes: number): void {
    const { id, query, time } = item;
    if (!this.#pager.expects(query)) return this.#pager.isProbe(query) ? undefined : this.#options.onDuplicate();
    const sight: Sight = { way: 'archived', print: printOf(item.message) };
    const live = this.#held.take(id, sight.print);
    const sentAt = time ?? this.#options.clock.now();
    if (this.#trail.knows(id, sight)) return this.#confirm({ id, sentAt });
    const known = this.#trail.hasPrint(sight.print); // received live without an id, and assumed not to be in the archive
    if (known) this.#options.onDuplicate();
    const sighting = known ? undefined : (live ?? this.#options.toSighting(item, bytes));
    this.#hand(sighting, { id, sentAt }, sight);
  }

  /** An unreadable message was received, live or as an item of `query`. False: it was known. */
  unreadable(id: string, query: string | undefined): boolean {
    const name = `unreadable ${id}`;
    const sight: Sight = { way: query === undefined ? 'live' : 'archived', print: name };
    if (this.#trail.knows(id, sight)) return false;
    const isNew = !this.#trail.hasPrint(name);
    const moves = query === undefined ? this.#state === 'live' : this.#pager.expects(query);
    if (moves) this.#hand(undefined, { id, sentAt: this.#options.clock.now() }, sight);
    else this.#trail.addPrint(name); // a pull that is in progress may reach it later
    return isNew;
  }

  #enter(state: 'live' | 'none' | 'pulling' | 'stalled', trouble = ''): void {
    this.#state = state;
    this.#trouble = trouble;
    if (state !== 'pulling') this.#caughtUp = trouble === '';
    this.#options.onChange();
  }

  /** Starts a pull, or another one after that in progress. */
  #requestPull(from: From): void {
    if (this.#state === 'pulling') this.#nextPull = this.#nextPull === 'base' ? 'base' : from;
    else if (this.#state === 'live') void this.#pull(from);
  }

  async #pull(from: From): Promise<void> {
    const session = this.#session;
    const isOver = () => session !== this.#session;
    this.#nextPull = undefined;
    if (this.#state !== 'pulling') this.#enter('pulling');
    const { base, tip } = this.#trail;
    const pulled = base === undefined ? this.#begin() : this.#pager.readFrom(base, isOver, from === 'tip' ? tip : base);
    const end = await pulled.catch(() => undefined);
    if (isOver() || end === undefined) return; // the end of the session is reported elsewhere
    if (end.kind === 'refused') return this.#stall(end.condition);
    if (end.kind === 'none') return this.#finish('none', end.reason);
    return this.#nextPull === undefined ? this.#finish('live') : this.#pull(this.#nextPull);
  }

  /** Without a mark the source starts with the present. */
  async #begin(): Promise<PullEnd> {
    const newest = await this.#pager.newest();
    if (newest.kind === 'refused') return endByCondition(newest.condition);
    const point = newest.last === undefined ? { id: '', sentAt: 0 } : { id: newest.last, sentAt: this.#options.clock.now() };
    if (this.#trail.base === undefined) this.#options.hand(undefined, this.#trail.begin(point));
    return { kind: 'read' };
  }

  #finish(state: 'live' | 'none', trouble = ''): void {
    this.#pager.stop();
    for (const sighting of this.#held.takeAll()) {
      if (state === 'live') this.#pass(sighting);
      else this.#handWithoutMark(sighting);
    }
    if (state === 'live' && !this.#caughtUp) this.#pullLater(latePullsMs);
    this.#enter(state, trouble);
  }

  #pullLater([next, ...others]: readonly number[]): void {
    if (next === undefined) return;
    this.#cancelTimer();
    this.#cancelTimer = this.#options.timers.after(next, () => {
      this.#pullLater(others);
      this.#requestPull('base');
    });
  }

  #stall(condition: string): void {
    this.#pager.stop();
    for (const sighting of this.#held.takeAll()) this.#passUnlessArchived(sighting);
    this.#enter('stalled', `the archive of ${this.#options.jid} does not answer: ${condition}`);
    this.#cancelTimer();
    this.#cancelTimer = this.#options.timers.after(stalledMs, () => void this.#pull('base'));
  }

  #hold(sighting: Sighting): void {
    this.#held.add(sighting, printOf(sighting.stanza));
    if (this.#held.bytes <= this.#options.heldBytes) return;
    this.#nextPull = 'base';
    for (const held of this.#held.takeAll()) this.#passUnlessArchived(held);
  }

  /** A message with an id is in the archive, and a pull will find it. */
  #passUnlessArchived(sighting: Sighting): void {
    if (sighting.archiveId === undefined || this.#trail.base === undefined) this.#pass(sighting);
  }

  /** Hands over a live message that no pull will find. */
  #pass(sighting: Sighting): void {
    const { archiveId, stanza } = sighting;
    if (archiveId !== undefined) return this.#handLive(sighting, archiveId);
    if (stanza.attrs['id'] !== undefined) this.#trail.addPrint(printOf(stanza)); // without an id, two equal prints may be two messages
    this.#options.hand(sighting, undefined);
  }

  /** The archive is not read now. The next session may find the message there, and recognises it then. */
  #handWithoutMark(sighting: Sighting): void {
    const { archiveId, stanza } = sighting;
    if (archiveId !== undefined) this.#trail.addUnmarked(archiveId, { way: 'live', print: printOf(stanza) });
    this.#options.hand(sighting, undefined);
  }

  #handLive(sighting: Sighting, id: string): void {
    this.#hand(sighting, { id, sentAt: this.#options.clock.now() }, { way: 'live', print: printOf(sighting.stanza) });
  }

  #hand(sighting: Sighting | undefined, point: Point, sight: Sight): void {
    this.#options.hand(sighting, this.#trail.add(point, sight));
  }

  #confirm(point: Point): void {
    const mark = this.#trail.confirm(point);
    if (mark !== undefined) this.#options.hand(undefined, mark);
  }
}

/** Live messages that wait until the pull has shown whether the archive has them too. */
class HeldMessages {
  #waiting = new Map<string, Sighting[]>();
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  add(sighting: Sighting, print: string): void {
    const name = sighting.archiveId ?? print;
    this.#waiting.set(name, [...(this.#waiting.get(name) ?? []), sighting]);
    this.#bytes += sighting.bytes;
  }

  /** Takes out the first message with this archive id, or else with this print. */
  take(id: string, print: string): Sighting | undefined {
    return this.#take(id) ?? this.#take(print);
  }

  /** Takes out all messages, in their order. */
  takeAll(): readonly Sighting[] {
    const all = [...this.#waiting.values()].flat();
    this.#waiting = new Map();
    this.#bytes = 0;
    return all;
  }

  #take(name: string): Sighting | undefined {
    const same = this.#waiting.get(name);
    const first = same?.shift();
    if (same?.length === 0) this.#waiting.delete(name);
    this.#bytes -= first?.bytes ?? 0;
    return first;
  }
}
