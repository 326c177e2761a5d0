/** Runs a stanza through one handler without a service: shows the request that it would make, or the rule or callback that prevents it. */
import type { When } from '../config/config.ts';
import { systemClock } from '../kit/clock.ts';
import { ServiceError, toError } from '../kit/errors.ts';
import type { Body, DeliveryId, HeaderPair, NewRequest } from '../model/delivery.ts';
import type { Direction, Packet, PacketId, Stanza } from '../model/packet.ts';
import { packetFrom } from '../packet/from-xml.ts';
import { createJidReader } from '../packet/jid.ts';
import { isReport, typeOf } from '../packet/kind.ts';
import { roomOf } from '../packet/room.ts';
import { parseStanza } from '../packet/xml/parse.ts';
import { createEventBus } from '../telemetry/events.ts';
import { unwatched } from './call.ts';
import { createContexts } from './context.ts';
import { type EvaluationOptions, HandlerEvaluator } from './evaluate.ts';
import type { LoadedHandler } from './handler.ts';
import { compileTests } from './rules.ts';

export interface TrialOptions extends Pick<EvaluationOptions, 'limits'> {
  readonly xml: string;
  readonly direction: Direction;
  /** Default: the domain of the local user. */
  readonly host: string | undefined;
}

/** `reason`: the key of the handler or the callback that prevents the request; `detail`: the same in words. */
export type Trial =
  | { readonly kind: 'declined' | 'failed'; readonly reason: string; readonly detail: string }
  | {
      readonly kind: 'request';
      readonly method: string;
      readonly path: string;
      readonly headers: readonly HeaderPair[];
      readonly body: Body;
    };

/** Throws STANZA_INVALID if the text is not one stanza. */
export async function tryHandler(handler: LoadedHandler, { xml, direction, host, limits }: TrialOptions): Promise<Trial> {
  const packet = packetOf(xml, direction, host);
  const prevented = unservedHost(handler, packet) ?? failedRule(handler, packet);
  if (prevented !== undefined) return prevented;

  const events = createEventBus();
  let callback = 'shouldMakeReq';
  events.on('callback.failed', (failed) => {
    callback = failed.callback;
  });
  const newId = () => 'trial' as DeliveryId;
  const evaluator = new HandlerEvaluator({ limits, watch: unwatched, clock: systemClock, newId, events });
  const result = await evaluator.evaluate(handler, createContexts()(packet));
  switch (result.kind) {
    case 'failed':
      return { kind: 'failed', reason: callback, detail: result.failedPacket.detail };
    case 'no-request':
      return declined('shouldMakeReq', `shouldMakeReq of ${handler.config.callbackModule} does not want ${describe(packet)}`);
    case 'request':
      return requestOf(result.delivery);
    default:
      return result satisfies never;
  }
}

function requestOf({ target: { method, path, headers }, body }: NewRequest): Trial {
  return { kind: 'request', method, path, headers, body };
}

const origin = 'try';

/** A packet as a tap would report it; the domain of the local user is the default host. */
function packetOf(xml: string, direction: Direction, host: string | undefined): Packet {
  const stanza = readStanza(xml);
  const now = systemClock.now();
  const readJid = createJidReader({ size: 2 });
  const local = direction === 'in' ? stanza.attrs['from'] : stanza.attrs['to'];
  const named = host ?? (local === undefined ? '' : readJid(local).jid.server);
  if (named === '') throw new ServiceError('USAGE', `the stanza has no "${direction === 'in' ? 'from' : 'to'}": give --host`);
  const session = direction === 'in' ? local : undefined;
  const seen = { stanza, direction, host: named.toLowerCase(), session, bytes: Buffer.byteLength(xml), key: origin };
  return packetFrom(seen, { id: origin as PacketId, origin, receivedAt: now }, readJid).packet;
}

/** A stanza that is copied from a log often lacks its namespace. */
function readStanza(xml: string): Stanza {
  try {
    return parseStanza(xml.replace(/^\uFEFF?\s*(?:<\?xml[^>]*\?>)?\s*/, ''), { namespaces: { '': 'jabber:client' } });
  } catch (thrown) {
    throw new ServiceError('STANZA_INVALID', `the file is not one stanza as XML: ${toError(thrown).message}`);
  }
}

function unservedHost({ config: { name, hosts } }: LoadedHandler, { host }: Packet): Trial | undefined {
  if (hosts.includes(host)) return undefined;
  return declined('host', `handler ${name} serves ${hosts.join(', ') || 'no host'}, and the stanza belongs to ${host}`);
}

/** The first key that prevents a match, `event` and `kind` before the others. */
function failedRule(handler: LoadedHandler, packet: Packet): Trial | undefined {
  const keys = entriesOf(handler.config.when ?? {});
  keys.sort(([one], [other]) => Number(shapeKeys.has(other)) - Number(shapeKeys.has(one)));
  for (const [key, value] of keys) {
    if (compileTests({ [key]: value }).matches(packet)) continue;
    const effect = key === 'not' ? 'excludes' : 'does not match';
    return declined(nameOf(key, value), `the rule ${key} = ${JSON.stringify(value)} ${effect} ${describe(packet)}`);
  }
  if (handler.matches(packet)) return undefined;
  if (isReport(packet.event)) return declined('event', `only a rule with event = ["${packet.event}"] matches this report`);
  return declined('respect_hints', 'the stanza asks not to be stored (XEP-0334), and the handler has respect_hints');
}

const shapeKeys: ReadonlySet<string> = new Set(['event', 'kind']);

function entriesOf(when: When): [key: string, value: unknown][] {
  return Object.entries(when).filter(([, value]) => value !== undefined);
}

/** `not.type` for a `not` with the one key `type`; a `not` with several keys excludes a packet only by all of them together. */
function nameOf(key: string, value: unknown): string {
  const [only, ...others] = key === 'not' ? entriesOf(value as When) : [];
  return only === undefined || others.length > 0 ? key : `${key}.${nameOf(...only)}`;
}

function declined(reason: string, detail: string): Trial {
  return { kind: 'declined', reason, detail };
}

/** What the rules see of a packet, without its text. */
function describe(packet: Packet): string {
  const { direction, stanza, event, kind, from, to, sender } = packet;
  const room = roomOf(packet);
  const inRoom = room === undefined ? '' : `, room ${room}, sender ${(sender ?? from).bare}`;
  return `this ${stanza.name}: direction ${direction}, type ${typeOf(stanza) || 'none'}, event ${event}, kind ${kind}, from ${from.bare}, to ${to.bare}${inRoom}`;
}
