import { type Clock, type Timers, within } from '../../kit/clock.ts';
import type { Stanza } from '../../model/packet.ts';
import { element, findChild } from '../../packet/xml/element.ts';
import { errorCondition } from '../xmpp-stream.ts';
import { mamNs } from './sighting.ts';
import { isOlder, type Point } from './trail.ts';

export interface PagerOptions {
  /** The archive's address: the account's bare JID, or the room's. */
  readonly jid: string;
  /** Sends an IQ of type `set`; resolves with its response, an error too. Rejects when the session ends. */
  readonly request: (child: Stanza) => Promise<Stanza>;
  /** The archive no longer has the start position; messages that it has deleted since were missed. */
  readonly onGap: () => void;
  readonly clock: Clock;
  readonly timers: Timers;
}

/** Why a pull ended: everything was read; there is no readable archive (with a reason if there should be one); or it refuses for now. */
export type PullEnd =
  | { readonly kind: 'none'; readonly reason: string }
  | { readonly kind: 'read' }
  | { readonly kind: 'refused'; readonly condition: string };

/** A query for one page of an archive (XEP-0313 §4, XEP-0059). */
interface PageQuery {
  /** Comes back with each item. */
  readonly id: string;
  /** The id after which the page begins; undefined: at the beginning. */
  readonly after?: string | undefined;
  /** Empty: the last page. */
  readonly before?: '';
  /** Excludes older messages, ms. */
  readonly start?: number | undefined;
  readonly max: number;
}

type ArchivePage =
  | { readonly kind: 'page'; readonly complete: boolean; readonly last: string | undefined }
  | { readonly kind: 'refused'; readonly condition: string };

const pageItems = 50;
/** A response may be lost (the room's server, a reloaded module), and live messages wait for it. */
const answerTimeoutMs = 120_000;

/** Reads an archive by pages. Query ids are unique, also across restarts, so late results of an earlier query are recognised. */
export class ArchivePager {
  readonly #options: PagerOptions;
  readonly #run: string;
  #serial = 0;
  /** The query whose items are handed over, and the one whose item is discarded; empty if there is none. */
  #query = '';
  #probe = '';
  #reportedGap: string | undefined;

  constructor(options: PagerOptions) {
    this.#options = options;
    this.#run = options.clock.now().toString(36);
  }

  /** Whether an item belongs to the current query. */
  expects(query: string): boolean {
    return query !== '' && query === this.#query;
  }

  /** Whether an item belongs to a query for the newest message, and is discarded. */
  isProbe(query: string): boolean {
    return query !== '' && query === this.#probe;
  }

  stop(): void {
    this.#query = '';
  }

  /** Requests the last page with one item, which is discarded. */
  newest(): Promise<ArchivePage> {
    return this.#request({ before: '', max: 1 }, { probe: true });
  }

  /** Reads everything after `base`, or after the later `tip` if the archive knows that. `isOver` ends it early. */
  async readFrom(base: Point, isOver: () => boolean, tip = base): Promise<PullEnd> {
    let after = tip.id || undefined;
    let start: number | undefined;
    const read = new Set<string>();
    for (;;) {
      const page = await this.#request({ after, start, max: pageItems }, { probe: false });
      if (isOver()) return { kind: 'read' };
      const isFirst = start === undefined && after !== undefined && read.size === 0;
      const isLost = isFirst && (await this.#hasLost(tip, page));
      if (isLost && tip !== base) return this.readFrom(base, isOver);
      if (isLost) {
        if (page.kind === 'refused') this.#reportGap(base);
        start = base.sentAt;
        after = undefined;
        continue;
      }
      if (page.kind === 'refused') return endByCondition(page.condition);
      if (start !== undefined && page.last !== undefined) this.#reportGap(base);
      if (page.complete || page.last === undefined) return { kind: 'read' };
      if (page.last === after || read.has(page.last)) return { kind: 'none', reason: this.#repeats };
      after = page.last;
      read.add(after);
    }
  }

  get #repeats(): string {
    return `the archive of ${this.#options.jid} repeats the same page, and is not read`;
  }

  /** Reports a gap once for each base; the base stays until a new message was read. */
  #reportGap({ id }: Point): void {
    if (this.#reportedGap === id) return;
    this.#reportedGap = id;
    this.#options.onGap();
  }

  /** Whether the archive no longer has a message: it reports so, or its numbering has restarted and is below the id. */
  async #hasLost({ id }: Point, page: ArchivePage): Promise<boolean> {
    if (page.kind === 'refused') return page.condition === 'item-not-found';
    if (page.last !== undefined || !isOlder('0', id)) return false;
    const newest = await this.newest();
    return newest.kind === 'page' && newest.last !== undefined && isOlder(newest.last, id);
  }

  async #request(query: Omit<PageQuery, 'id'>, { probe }: { readonly probe: boolean }): Promise<ArchivePage> {
    const { jid, request, timers } = this.#options;
    this.#serial += 1;
    const id = `${this.#run}.${this.#serial} ${jid}`;
    [this.#query, this.#probe] = probe ? ['', id] : [id, ''];
    const page = requestPage(request, { id, ...query });
    return (await within(page, answerTimeoutMs, timers)) ? page : { kind: 'refused', condition: 'no answer in time' };
  }
}

/** Error conditions of a server without an archive. */
const absentConditions: ReadonlySet<string> = new Set(['feature-not-implemented', 'not-allowed', 'service-unavailable']);

/** The end of a pull for an error condition. */
export function endByCondition(condition: string): PullEnd {
  return absentConditions.has(condition) ? { kind: 'none', reason: '' } : { kind: 'refused', condition };
}

const rsmNs = 'http://jabber.org/protocol/rsm';

/** Requests a page. Its items arrive before the response, as messages. */
async function requestPage(request: PagerOptions['request'], { id, after, before, start, max }: PageQuery): Promise<ArchivePage> {
  const set = element('set', { xmlns: rsmNs }, [
    element('max', {}, [String(max)]),
    ...(after === undefined ? [] : [element('after', {}, [after])]),
    ...(before === undefined ? [] : [element('before')]),
  ]);
  const form = start === undefined ? [] : [startForm(start)];
  const answer = await request(element('query', { xmlns: mamNs, queryid: id }, [...form, set]));
  if (answer.attrs['type'] === 'error') return { kind: 'refused', condition: errorCondition(answer) ?? 'undefined-condition' };

  const fin = findChild(answer, 'fin', mamNs);
  const answered = fin && findChild(fin, 'set', rsmNs);
  return { kind: 'page', complete: fin?.attrs['complete'] === 'true', last: answered?.text('last') || undefined };
}

/** The filter for messages since `start` (XEP-0313 §4.1.2), with the instant in the format of XEP-0082. */
function startForm(start: number): Stanza {
  const field = (name: string, value: string, type?: string) => element('field', { var: name, type }, [element('value', {}, [value])]);
  return element('x', { xmlns: 'jabber:x:data', type: 'submit' }, [
    field('FORM_TYPE', mamNs, 'hidden'),
    field('start', new Date(start).toISOString()),
  ]);
}
