import type { Stanza } from '../../src/model/packet.ts';
import { findChild } from '../../src/packet/xml/element.ts';
import type { Script } from './scripted-account-server.ts';

export interface ArchivedMessage {
  readonly id: string;
  /** Content of the message's body, as XML. */
  readonly body: string;
  readonly sentAt?: number;
}

/**
 * An archive (XEP-0313) like that of MongooseIM: it accepts no `<after/>` or `<before/>` with an attribute, and refuses an
 * unknown `after`. The test stores its live messages in it, at once or later.
 */
export interface ScriptedArchive {
  readonly messages: ArchivedMessage[];
  /** The `after` of each query; empty without one. */
  readonly asked: readonly string[];
  readonly answer: NonNullable<Script['answer']>;
}

const mamNs = 'urn:xmpp:mam:2';
const rsmNs = 'http://jabber.org/protocol/rsm';

export function createScriptedArchive({ takesAfter = true }: { readonly takesAfter?: boolean } = {}): ScriptedArchive {
  const messages: ArchivedMessage[] = [];
  const asked: string[] = [];

  function answer(iq: Stanza, send: (xml: string) => void): string | undefined {
    const query = findChild(iq, 'query', mamNs);
    const set = query && findChild(query, 'set', rsmNs);
    if (query === undefined || set === undefined) return undefined;
    const after = takesAfter ? paging(set, 'after') : undefined;
    asked.push(after ?? '');
    if (after !== undefined && !messages.some(({ id }) => id === after)) return notFound;

    const rest = messages.slice(messages.findIndex(({ id }) => id === after) + 1).filter((message) => isSince(message, query));
    const max = Number(set.text('max'));
    const page = paging(set, 'before') === undefined ? rest.slice(0, max) : rest.slice(-max);
    for (const message of page) send(resultOf(message, query.attrs['queryid'] ?? ''));
    const last = page.at(-1);
    const ends = last === undefined ? '' : `<first>${page[0]?.id}</first><last>${last.id}</last>`;
    return `<fin xmlns='${mamNs}'${rest.length <= max ? " complete='true'" : ''}><set xmlns='${rsmNs}'>${ends}</set></fin>`;
  }

  return { messages, asked, answer };
}

const notFound = "<error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>";

function paging(set: Stanza, name: 'after' | 'before'): string | undefined {
  const found = findChild(set, name);
  return found !== undefined && Object.keys(found.attrs).length === 0 ? found.text() : undefined;
}

function isSince({ sentAt = 0 }: ArchivedMessage, query: Stanza): boolean {
  const start = /var="start"><value>([^<]*)/.exec(query.xml)?.[1];
  return start === undefined || sentAt >= Date.parse(start);
}

function resultOf({ id, body, sentAt = 0 }: ArchivedMessage, query: string): string {
  const delay = `<delay xmlns='urn:xmpp:delay' stamp='${new Date(sentAt).toISOString()}'/>`;
  const forwarded = `<forwarded xmlns='urn:xmpp:forward:0'>${delay}${messageOf({ id, body })}</forwarded>`;
  return `<message from='bob@localhost' to='bob@localhost/pusher'><result xmlns='${mamNs}' queryid='${query}' id='${id}'>${forwarded}</result></message>`;
}

/** The message as delivered to its receiver. */
export function messageOf({ id, body }: ArchivedMessage): string {
  return `<message xmlns='jabber:client' type='chat' id='${id}' from='alice@localhost/phone' to='bob@localhost'><stanza-id xmlns='urn:xmpp:sid:0' by='bob@localhost' id='${id}'/><body>${body}</body></message>`;
}
