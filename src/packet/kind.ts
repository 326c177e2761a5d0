import type { Kind, Stanza } from '../../pools/contract.ts';
import { childElements, localName } from './xml/element.ts';

/** What marks a message as more than a text, strongest first: a correction that is encrypted is `encrypted`. */
const marks: readonly { readonly kind: Kind; readonly names: ReadonlySet<string>; readonly namespaces: ReadonlySet<string> }[] = [
  // XEP-0424, also in its older form inside of XEP-0422's apply-to
  mark('retraction', ['retract'], ['urn:xmpp:message-retract:0', 'urn:xmpp:message-retract:1']),
  // XEP-0444
  mark('reaction', ['reactions'], ['urn:xmpp:reactions:0']),
  // XEP-0384, XEP-0373, XEP-0027, and XEP-0380, which says so whatever the method
  mark(
    'encrypted',
    ['encrypted', 'encryption', 'openpgp', 'x'],
    [
      'eu.siacs.conversations.axolotl',
      'urn:xmpp:omemo:1',
      'urn:xmpp:omemo:2',
      'urn:xmpp:openpgp:0',
      'jabber:x:encrypted',
      'urn:xmpp:eme:0',
    ],
  ),
  // XEP-0308
  mark('correction', ['replace'], ['urn:xmpp:message-correct:0']),
];

/** What a message without a body may be about instead. */
const bodilessMarks: typeof marks = [
  // XEP-0184
  mark('receipt', ['received'], ['urn:xmpp:receipts']),
  // XEP-0333
  mark('marker', ['received', 'displayed', 'acknowledged'], ['urn:xmpp:chat-markers:0']),
  // XEP-0085
  mark('chat-state', ['active', 'composing', 'gone', 'inactive', 'paused'], ['http://jabber.org/protocol/chatstates']),
];

/** Tells what a stanza is about: the strongest mark among a message's children, `message` where there is none. */
export function kindOf(stanza: Stanza): Kind {
  if (stanza.name === 'iq' || stanza.name === 'presence') return stanza.name;
  const children = childElements(stanza);
  if (children.length === 1 && children[0]?.name === 'body') return 'message'; // nearly every message
  const applied = children.filter(isApplyTo).flatMap(childElements);
  const strong = strongest(marks, [...children, ...applied]);
  if (strong !== undefined) return strong;
  return (stanza.text('body') === '' ? strongest(bodilessMarks, children) : undefined) ?? 'message';
}

function strongest(among: typeof marks, children: readonly Stanza[]): Kind | undefined {
  return among.find(({ names, namespaces }) => children.some((child) => namespaces.has(child.ns) && names.has(localName(child.name))))
    ?.kind;
}

function isApplyTo({ name, ns }: Stanza): boolean {
  return ns === 'urn:xmpp:fasten:0' && localName(name) === 'apply-to';
}

function mark(kind: Kind, names: readonly string[], namespaces: readonly string[]) {
  return { kind, names: new Set(names), namespaces: new Set(namespaces) };
}
