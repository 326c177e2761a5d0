import { parseStanza } from '../../src/packet/xml/parse.ts';
import type { Message, MessageContext, MessagePart, Stanza } from '../callbacks.ts';
import type { Job } from '../contract.ts';

/** A job as its handler's callbacks see it. The stanza is parsed when it is first looked at. */
export function createMessage({ id, attempt }: Job, stanza: string | undefined, context: MessageContext): Message {
  let packet: Stanza | undefined;
  let parts: readonly MessagePart[] | undefined;

  const message: Message = {
    id,
    attempt,
    get packet() {
      if (stanza !== undefined) packet ??= parseStanza(stanza);
      return packet;
    },
    get parts() {
      parts ??= Object.freeze(message.packet === undefined ? [] : partsOf(message.packet));
      return parts;
    },
    context,
  };
  return Object.freeze(message);
}

function partsOf(packet: Stanza): MessagePart[] {
  const children = packet.children.filter((child) => typeof child !== 'string');
  const body = children.find(({ name }) => name === 'body');
  const payloads = children.filter((child) => child !== body);
  return [
    part('stanza', packet, packet.xml),
    ...(body === undefined ? [] : [part('body', body, body.text())]),
    ...payloads.map((payload) => part('payload', payload, payload.xml)),
  ];
}

function part(kind: MessagePart['kind'], { name, ns }: Stanza, content: string): MessagePart {
  return Object.freeze({ kind, name, ns, content });
}
