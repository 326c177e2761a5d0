import { type Clock, type Timers, within } from '../../kit/clock.ts';
import type { Stanza } from '../../model/packet.ts';
import { element, findChild } from '../../packet/xml/element.ts';
import { conditionOf } from './questions.ts';
import { mamNs } from './sighting.ts';
import { isOlder, type Point } from './trail.ts';

const rsmNs = 'http://jabber.org/protocol/rsm';
const formNs = 'jabber:x:data';

/** One page of an archive (XEP-0313 §4, XEP-0059). */
export interface ArchiveQuestion {
  /** Comes back with each item. */
  readonly id: string;
  /** The id that the page begins behind; undefined: at the beginning. */
  readonly after?: string | undefined;
  /** Empty: the last page. */
  readonly before?: '';
  /** Nothing older than this, ms. */
  readonly start?: number | undefined;
  readonly max: number;
}

export type ArchivePage =
  | { readonly kind: 'page'; readonly complete: boolean; readonly last: string | undefined }
  | { readonly kind: 'refused'; readonly condition: string };

/** Why a pull ended: all was read, there is no archive or none that can be read (then with a reason), or it refuses for now. */
export type PullEnd =
  | { readonly kind: 'none'; readonly reason: string }
  | { readonly kind: 'read' }
  | { readonly kind: 'refused'; readonly condition: string };

export interface PagerOptions {
  /** The archive's address: the account's bare JID, or the room's. */
  readonly jid: string;
  readonly ask: (child: Stanza) => Promise<Stanza>;
  /** The archive no longer has the start position; messages that it has deleted meanwhile were missed. */
  readonly onGap: () => void;
  readonly clock: Clock;
  readonly timers: Timers;
}

const pageItems = 50;
/** Error conditions of a server without an archive. */
const absent = new Set(['feature-not-implemented', 'not-allowed', 'service-unavailable']);
const answerWithinMs = 120_000;

/** Reads an archive by pages. Query ids are unique, also across restarts, so late results of an earlier query are recognised. */
export class Pager {
  readonly #options: PagerOptions;
  readonly #run: string;
  #serial = 0;
  #query = '';
  #look = '';
  #gapBehind: string | undefined;

  constructor(options: PagerOptions) {
    this.#options = options;
    this.#run = options.clock.now().toString(36);
  }

  /** Whether an item belongs to the current query. */
  expects(query: string): boolean {
    return query !== '' && query === this.#query;
  }

  /** Whether it belongs to a query whose item is discarded. */
  isLook(query: string): boolean {
    return query !== '' && query === this.#look;
  }

  stop(): void {
    this.#query = '';
  }

  /** Asks for the last page with one item, which is discarded. */
  newest(): Promise<ArchivePage> {
    return this.#ask({ before: '', max: 1 }, 'looking');
  }

  /**
   * Reads all behind `base`, or behind `tip`, which is further on, where the archive knows that. `isOver` ends it early.
   */
  async readOn(base: Point, isOver: () => boolean, tip = base): Promise<PullEnd> {
    let after = tip.id || undefined;
    let start: number | undefined;
    const asked = new Set<string>();
    for (;;) {
      const page = await this.#ask({ after, start, max: pageItems }, 'reading');
      if (isOver()) return { kind: 'read' };
      const isFirst = start === undefined && after !== undefined && asked.size === 0;
      const isLost = isFirst && (await this.#hasLost(tip, page));
      if (isLost && tip !== base) return this.readOn(base, isOver);
      if (isLost) {
        if (page.kind === 'refused') this.#tellGap(base);
        start = base.sentAt;
        after = undefined;
      } else if (page.kind === 'refused') return endBy(page.condition);
      else {
        if (start !== undefined && page.last !== undefined) this.#tellGap(base);
        if (page.complete || page.last === undefined) return { kind: 'read' };
        if (page.last === after || asked.has(page.last)) return { kind: 'none', reason: this.#repeats };
        after = page.last;
        asked.add(after);
      }
    }
  }

  get #repeats(): string {
    return `the archive of ${this.#options.jid} gives the same page again and again, and is not read`;
  }

  /** Reported once for each base; the state lasts until a new message was read. */
  #tellGap({ id }: Point): void {
    if (this.#gapBehind === id) return;
    this.#gapBehind = id;
    this.#options.onGap();
  }

  /** Whether the archive no longer has a message: it reports so, or its numbering has restarted and is below the id. */
  async #hasLost({ id }: Point, page: ArchivePage): Promise<boolean> {
    if (page.kind === 'refused') return page.condition === 'item-not-found';
    if (page.last !== undefined || !isOlder('0', id)) return false;
    const newest = await this.newest();
    return newest.kind === 'page' && newest.last !== undefined && isOlder(newest.last, id);
  }

  /** A result may be lost (the room's server, a reloaded module), and live messages wait for it, so the wait is bounded. */
  async #ask(asked: Omit<ArchiveQuestion, 'id'>, how: 'looking' | 'reading'): Promise<ArchivePage> {
    const { jid, ask, timers } = this.#options;
    this.#serial += 1;
    const id = `${this.#run}.${this.#serial} ${jid}`;
    [this.#query, this.#look] = how === 'reading' ? [id, ''] : ['', id];
    const answer = askArchive(ask, { id, ...asked });
    const answered = await within(answer, answerWithinMs, timers);
    return answered ? answer : { kind: 'refused', condition: 'no answer in time' };
  }
}

/** The end of a pull for an error condition. */
export function endBy(condition: string): PullEnd {
  return absent.has(condition) ? { kind: 'none', reason: '' } : { kind: 'refused', condition };
}

/** Asks, and gives what the answer says; the items themselves come before it, on their own. Rejects when the session ends. */
async function askArchive(ask: (child: Stanza) => Promise<Stanza>, question: ArchiveQuestion): Promise<ArchivePage> {
  const { id, after, before, start, max } = question;
  const set = element('set', { xmlns: rsmNs }, [
    element('max', {}, [String(max)]),
    ...(after === undefined ? [] : [element('after', {}, [after])]),
    ...(before === undefined ? [] : [element('before')]),
  ]);
  const form = start === undefined ? [] : [sinceForm(start)];
  const answer = await ask(element('query', { xmlns: mamNs, queryid: id }, [...form, set]));
  if (answer.attrs['type'] === 'error') return { kind: 'refused', condition: conditionOf(answer) };

  const fin = findChild(answer, 'fin', mamNs);
  const answered = fin && findChild(fin, 'set', rsmNs);
  return { kind: 'page', complete: fin?.attrs['complete'] === 'true', last: answered?.text('last') || undefined };
}

/** Instants are written as XEP-0082 says. */
function sinceForm(start: number): Stanza {
  const field = (name: string, value: string, type?: string) => element('field', { var: name, type }, [element('value', {}, [value])]);
  return element('x', { xmlns: formNs, type: 'submit' }, [
    field('FORM_TYPE', mamNs, 'hidden'),
    field('start', new Date(start).toISOString()),
  ]);
}
