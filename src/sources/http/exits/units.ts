/** Program units: the built-in PUSH, SENDMSG and STATUS, and those of the user. */
import { isUtf8 } from 'node:buffer';
import type { ProgramUnit, ProgramUnitCall } from '../../../../pools/exits.ts';
import type { PacketId, Stanza } from '../../../model/packet.ts';
import type { JidReader } from '../../../packet/jid.ts';
import { element, isXmlText } from '../../../packet/xml/element.ts';
import type { Outbox } from '../../source.ts';
import { overloaded, type Refusal } from '../request-guard.ts';
import type { CallModule } from './exit.ts';

/** Reads the parts of a message and puts those of its answer, without HTTP. */
export type Unit = (call: UnitCall) => Promise<UnitEnd>;

export interface UnitCall extends ProgramUnitCall {
  /** The remaining parts of the message as one. */
  mgetRest(): Promise<Buffer>;
}

/** `done`: `commit` performs the effect, after the response has been made; undefined if there is none. */
export type UnitEnd = { readonly kind: 'done'; readonly commit: Commit | undefined } | Refused;

/** The unit does not accept the message. */
export interface Refused {
  readonly kind: 'refused';
  readonly refusal: Refusal;
}

/** Performs the effect of a unit; resolves with a refusal if it fails. */
type Commit = () => Promise<Refusal | undefined>;

const done: UnitEnd = { kind: 'done', commit: undefined };

function refuse(text: string, { status = 400, reason = 'malformed' }: Partial<Refusal> = {}): Refused {
  return { kind: 'refused', refusal: { status, text, reason } };
}

const notText = refuse('a part is not UTF-8, or contains a character that XML does not allow');

/** A part as the text of a stanza; a missing part is empty. Undefined: it is not UTF-8, or XML does not allow it. */
function readText(part: Buffer = Buffer.alloc(0)): string | undefined {
  if (!isUtf8(part)) return undefined;
  const text = part.toString();
  return isXmlText(text) ? text : undefined;
}

/** A unit of the user. `call` watches and times it and limits its time. */
export function createModuleUnit(unit: ProgramUnit, call: CallModule): Unit {
  return async ({ mget, mput, init, acc }) => {
    await call('unit', acc.id, () => unit({ mget, mput, init, acc }));
    return done;
  };
}

export interface PushOptions {
  readonly hosts: readonly string[];
  readonly readJid: JidReader;
  readonly newPacketId: () => PacketId;
  /** Hands the message over; resolves with whether it was on disk in time. Undefined: too much is waiting for the disk. */
  hand(stanza: Stanza, seen: { readonly id: PacketId; readonly host: string; readonly bytes: number }): Promise<boolean> | undefined;
}

/** PUSH: turns the JIDs of a local sender and a receiver and a text into a chat message of the sender. Puts its id. */
export function createPushUnit({ hosts, readJid, newPacketId, hand }: PushOptions): Unit {
  return async ({ mget, mgetRest, mput }) => {
    const [sender, receiver] = [readText(await mget()), readText(await mget())];
    const text = await mgetRest();
    const body = readText(text);
    if (sender === undefined || receiver === undefined || body === undefined) return notText;

    const [from, to] = [readJid(sender), readJid(receiver)];
    if (!from.prepared) return refuse('the sender is not a JID');
    if (!to.prepared) return refuse('the receiver is not a JID');
    const host = from.jid.server;
    if (!hosts.includes(host)) return refuse(`${host} is not a host of this attachment`, { status: 403, reason: 'unknown-host' });

    const id = newPacketId();
    const attrs = { xmlns: 'jabber:client', type: 'chat', id, from: from.jid.full, to: to.jid.full };
    mput(id);
    const commit = async () => {
      const committed = hand(element('message', attrs, [element('body', {}, [body])]), { id, host, bytes: text.length });
      if (committed === undefined) return overloaded;
      return (await committed) ? undefined : unavailable(`${id} was accepted but not committed in time; it may still be pushed once`);
    };
    return { kind: 'done', commit };
  };
}

export interface SendOptions {
  readonly newPacketId: () => PacketId;
  readonly outbox: Outbox | undefined;
}

/** SENDMSG: sends a chat message of the service to a receiver's JID, after the response has been made. Puts its id. */
export function createSendUnit({ newPacketId, outbox }: SendOptions): Unit {
  return async ({ mget, mgetRest, mput }) => {
    const [to, body] = [readText(await mget()), readText(await mgetRest())];
    if (to === undefined || body === undefined) return notText;
    const id = newPacketId();
    mput(id);
    return { kind: 'done', commit: () => send(outbox, { id, to, body }) };
  };
}

async function send(
  outbox: Outbox | undefined,
  message: { readonly id: string; readonly to: string; readonly body: string },
): Promise<Refusal | undefined> {
  const result = await outbox?.send(message);
  switch (result?.kind) {
    case 'sent':
      return undefined;
    case 'refused':
      return { status: 422, reason: 'malformed', text: result.reason };
    case 'unconfirmed':
      return { status: 503, reason: 'overloaded', text: 'the message was sent, but the chat server has not confirmed it in time' };
    case 'unsent':
    case undefined:
      return unavailable('not sent: the chat server cannot be reached');
    default:
      return result satisfies never;
  }
}

function unavailable(text: string): Refusal {
  return { status: 503, headers: { 'retry-after': '1' }, reason: 'overloaded', text };
}

/** A condition for the service to be ready. */
export interface StatusCheck {
  readonly name: string;
  readonly ready: boolean;
  readonly reason: string;
}

/** STATUS: reads nothing, and puts `ready` or `not ready`, then one part for each check. */
export function createStatusUnit(checks: () => readonly StatusCheck[]): Unit {
  return async ({ mput }) => {
    const all = checks();
    mput(all.every(({ ready }) => ready) ? 'ready' : 'not ready');
    for (const { name, ready, reason } of all) mput(`${name}: ${ready ? 'ready' : reason}`);
    return done;
  };
}
