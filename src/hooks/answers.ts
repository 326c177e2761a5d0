/**
 * What callbacks return, held against what they may return: each check gives the value in the shape the rest works with,
 * or throws a TypeError for the module's author. No message quotes a value: it may be what somebody wrote.
 */
import type { Body, HeaderPair } from '../../pools/callbacks.ts';
import type { GateDecision } from '../packet/gate-decision.ts';
import { isXmlText } from '../packet/xml/element.ts';

/** What `shouldMakeReq` may return: a boolean and nothing that merely looks like one. */
export function checkedWish(given: unknown): boolean {
  if (typeof given === 'boolean') return given;
  throw new TypeError(`expected true or false, got ${describe(given)}`);
}

/** What `prepareHeaders` may return; copied, so that the module may go on using its own. */
export function checkedHeaders(given: unknown): readonly HeaderPair[] {
  if (typeof given !== 'object' || given === null) throw new TypeError(`expected [name, value] pairs or an object, got ${describe(given)}`);
  return Array.isArray(given) ? given.map(checkedPair) : Object.entries(given).map(checkedHeader);
}

/** What `prepareBody` may return; bytes are copied, so that the module may go on using its own. */
export function checkedBody(given: unknown): Body {
  if (typeof given === 'string') return given;
  if (given instanceof Uint8Array) return new Uint8Array(given);
  throw new TypeError(`expected a string or a Uint8Array, got ${describe(given)}`);
}

/** What the sender reads where a `gate` gives no text. */
const refusal = 'This message was not accepted.';

/** What `gate` may return, as the decision that it means. */
export function checkedGate(given: unknown): GateDecision {
  if (given === undefined || given === true) return { kind: 'allowed' };
  if (given === false) return { kind: 'refused', text: refusal };
  if (typeof given !== 'object' || given === null)
    throw new TypeError(`expected a boolean, { refuse } or { body }, got ${describe(given)}`);
  if ('refuse' in given) return { kind: 'refused', text: checkedText('refuse', given.refuse) || refusal };
  if (!('body' in given)) throw new TypeError('expected { refuse } or { body }, got an object without either');
  const body = checkedText('body', given.body);
  if (body === '') throw new TypeError('expected body to be a text, got an empty one: to hold the message back, refuse it');
  return { kind: 'changed', body };
}

function checkedText(name: string, value: unknown): string {
  if (typeof value !== 'string') throw new TypeError(`expected ${name} to be a string, got ${describe(value)}`);
  if (!isXmlText(value)) throw new TypeError(`expected ${name} to be a text for XML, got a character that XML cannot carry`);
  return value;
}

function checkedPair(pair: unknown, index: number): HeaderPair {
  if (!Array.isArray(pair) || pair.length !== 2)
    throw new TypeError(`expected header ${index + 1} to be [name, value], got ${describe(pair)}`);
  return checkedHeader([pair[0], pair[1]], index);
}

/** RFC 9110 §5.1 (a name is a token) and §5.5 (a value has no control characters but tab, nor anything beyond one byte). */
function checkedHeader([name, value]: readonly [unknown, unknown], index: number): HeaderPair {
  if (typeof name !== 'string') throw new TypeError(`expected the name of header ${index + 1} to be a string, got ${describe(name)}`);
  if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name)) throw new TypeError(`the name of header ${index + 1} is not one that HTTP allows`);
  if (typeof value !== 'string') throw new TypeError(`expected the value of header ${name} to be a string, got ${describe(value)}`);
  if (/[\r\n]/.test(value)) throw new TypeError(`the value of header ${name} has a line break in it`);
  if (/[^\t\x20-\x7e\x80-\xff]/.test(value)) throw new TypeError(`the value of header ${name} has a character that HTTP does not allow`);
  return [name, value];
}

function describe(given: unknown): string {
  if (given === null) return 'null';
  return Array.isArray(given) ? `an array of ${given.length}` : typeof given;
}
