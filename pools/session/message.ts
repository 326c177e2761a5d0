/** A message as the callbacks of its handler see it: the stanza, its parts, and the variables of its context. */
import type { ContextVariables } from '../../src/model/delivery.ts';
import { parseStanza } from '../../src/packet/xml/parse.ts';
import {
  DLV_RESPONSE_STATUS,
  DLV_RESPONSE_STATUS_DETAIL,
  type Message,
  type MessageContext,
  type MessagePart,
  type Stanza,
} from '../callbacks.ts';
import type { Job } from '../contract.ts';

/** The stanza is parsed on first access. */
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

/** Maximum size of all variables of a message, names included, in bytes as UTF-8. */
const maxBytes = 16_384;
/** Maximum length of a detail that the service sets, in characters. */
const maxDetail = 256;

/** The variables of one message. They start with those of earlier attempts, without `DLV_RESPONSE_STATUS` and its detail. */
export class Variables {
  /** The variables as the module sees them. */
  readonly context: MessageContext;
  readonly #values: Map<string, string>;

  constructor(kept: ContextVariables) {
    this.#values = new Map(Object.entries(kept));
    this.clearStatus();
    this.context = Object.freeze(contextOver(this.#values));
  }

  /** `DLV_RESPONSE_STATUS`: undefined if it is not set, NaN if it is not an integer. */
  get status(): number | undefined {
    const text = this.#values.get(DLV_RESPONSE_STATUS);
    if (text === undefined) return undefined;
    return /^-?\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  }

  /** `DLV_RESPONSE_STATUS_DETAIL`; empty if it is not set. */
  get detail(): string {
    return this.#values.get(DLV_RESPONSE_STATUS_DETAIL) ?? '';
  }

  /** The variables that the next attempt gets: all except the status and its detail. */
  get kept(): ContextVariables {
    const { [DLV_RESPONSE_STATUS]: _status, [DLV_RESPONSE_STATUS_DETAIL]: _detail, ...others } = Object.fromEntries(this.#values);
    return others;
  }

  setStatus(status: number, detail: string): void {
    this.#values.set(DLV_RESPONSE_STATUS, String(status));
    this.#values.set(DLV_RESPONSE_STATUS_DETAIL, detail.slice(0, maxDetail));
  }

  clearStatus(): void {
    this.#values.delete(DLV_RESPONSE_STATUS);
    this.#values.delete(DLV_RESPONSE_STATUS_DETAIL);
  }
}

function contextOver(values: Map<string, string>): MessageContext {
  function set(name: string, value: string): void {
    if (typeof name !== 'string') throw new TypeError(`expected the name of a variable to be a string, got ${typeof name}`);
    if (typeof value !== 'string') throw new TypeError(`expected the variable ${name} to be a string, got ${typeof value}`);
    const others = [...values].filter(([other]) => other !== name);
    const bytes = [...others, [name, value]].flat().reduce((sum, text) => sum + Buffer.byteLength(text), 0);
    if (bytes > maxBytes) throw new RangeError(`the variable ${name} would bring the context over ${maxBytes} bytes`);
    values.set(name, value);
  }

  return {
    get: (name) => values.get(name),
    set,
    delete: (name) => values.delete(name),
    keys: () => [...values.keys()],
  };
}
