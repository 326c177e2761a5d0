/** The form that MongooseIM's default module posts, and the chat message that it describes. */
import { isUtf8 } from 'node:buffer';
import type { PacketId, Stanza } from '../../model/packet.ts';
import { element, isXmlText } from '../../packet/xml/element.ts';

/** `author` and `receiver` are local parts, on the host `server`. */
export interface PostedForm {
  readonly author: string;
  readonly server: string;
  readonly receiver: string;
  readonly message: string;
}

type ReadForm = { readonly kind: 'form'; readonly form: PostedForm } | { readonly kind: 'problem'; readonly text: string };

/**
 * Reads `application/x-www-form-urlencoded` strictly: each of the four fields once, well-formed escapes, UTF-8, and only
 * characters that XML allows. Other fields are ignored. An empty local part stands for the server itself.
 */
export function readForm(body: Buffer): ReadForm {
  if (!isUtf8(body)) return problem('the body is not UTF-8');
  const found = new Map<string, string>();
  for (const pair of body.toString().split('&')) {
    const equals = pair.indexOf('=');
    const name = decode(equals < 0 ? pair : pair.slice(0, equals));
    const value = decode(equals < 0 ? '' : pair.slice(equals + 1));
    if (name === undefined || value === undefined) return problem('a %-escape is malformed or not UTF-8');
    if (found.has(name) && isKnownField(name)) return problem(`duplicate field ${name}`);
    found.set(name, value);
  }
  return check(found);
}

const fieldNames = ['author', 'server', 'receiver', 'message'] as const;

function isKnownField(name: string): boolean {
  return fieldNames.some((known) => known === name);
}

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    return undefined; // URIError: a malformed sequence
  }
}

function check(found: ReadonlyMap<string, string>): ReadForm {
  for (const name of fieldNames) {
    const value = found.get(name);
    if (value === undefined) return problem(`the field ${name} is missing`);
    if (!isXmlText(value)) return problem(`the field ${name} contains a character that XML does not allow`);
  }
  const [author = '', server = '', receiver = '', message = ''] = fieldNames.map((name) => found.get(name));
  if (/[@/]/.test(author)) return problem('the author must be a local part, without @ and /');
  if (/[@/]/.test(receiver)) return problem('the receiver must be a local part, without @ and /');
  return { kind: 'form', form: { author, server, receiver, message } };
}

function problem(text: string): ReadForm {
  return { kind: 'problem', text };
}

/**
 * The chat message of a post. Addresses have no resources, the receiver is on the sender's host (MongooseIM omits the receiver's),
 * and the id is new, because MongooseIM omits the client's.
 */
export function postedStanza({ author, server, receiver, message }: PostedForm, id: PacketId): Stanza {
  const attrs = { xmlns: 'jabber:client', type: 'chat', id, from: address(author, server), to: address(receiver, server) };
  return element('message', attrs, [element('body', {}, [message])]);
}

function address(user: string, server: string): string {
  return user === '' ? server : `${user}@${server}`;
}
