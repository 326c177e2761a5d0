import { isUtf8 } from 'node:buffer';
import { isXmlText } from '../../packet/xml/element.ts';

/** What MongooseIM's default module posts: who wrote (a local part), on which host, to whom (a local part), and what. */
export interface PostedForm {
  readonly author: string;
  readonly server: string;
  readonly receiver: string;
  readonly message: string;
}

export type ReadForm = { readonly kind: 'form'; readonly form: PostedForm } | { readonly kind: 'problem'; readonly text: string };

/**
 * Reads `application/x-www-form-urlencoded` strictly: each of the four fields once, well-formed escapes, UTF-8, and
 * nothing that no stanza can hold. Other fields are left alone. A local part may be empty: that is the server itself.
 */
export function readForm(body: Buffer): ReadForm {
  if (!isUtf8(body)) return problem('the body is not UTF-8');
  const found = new Map<string, string>();
  for (const pair of body.toString().split('&')) {
    const equals = pair.indexOf('=');
    const name = decode(equals < 0 ? pair : pair.slice(0, equals));
    const value = decode(equals < 0 ? '' : pair.slice(equals + 1));
    if (name === undefined || value === undefined) return problem('a %-escape is broken, or not UTF-8');
    if (found.has(name) && isWanted(name)) return problem(`duplicate field ${name}`);
    found.set(name, value);
  }
  return check(found);
}

const wanted = ['author', 'server', 'receiver', 'message'] as const;

function isWanted(name: string): boolean {
  return wanted.some((known) => known === name);
}

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    return undefined; // the one error it has: a malformed sequence
  }
}

function check(found: ReadonlyMap<string, string>): ReadForm {
  for (const name of wanted) {
    const value = found.get(name);
    if (value === undefined) return problem(`the field ${name} is missing`);
    if (!isXmlText(value)) return problem(`the field ${name} has a character that XML cannot carry`);
  }
  const [author = '', server = '', receiver = '', message = ''] = wanted.map((name) => found.get(name));
  if (/[@/]/.test(author)) return problem('the author must be a local part, without @ and /');
  if (/[@/]/.test(receiver)) return problem('the receiver must be a local part, without @ and /');
  return { kind: 'form', form: { author, server, receiver, message } };
}

function problem(text: string): ReadForm {
  return { kind: 'problem', text };
}
