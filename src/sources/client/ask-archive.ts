import type { Stanza } from '../../../pools/contract.ts';
import { element, findChild } from '../../packet/xml/element.ts';
import { conditionOf } from './questions.ts';
import { mamNs } from './sighting.ts';

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

/** Asks, and gives what the answer says; the items themselves come before it, on their own. Rejects when the session ends. */
export async function askArchive(ask: (child: Stanza) => Promise<Stanza>, question: ArchiveQuestion): Promise<ArchivePage> {
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
