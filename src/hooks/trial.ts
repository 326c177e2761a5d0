/** Runs a stanza through one handler without a service: shows the request that it would make, or the rule or callback that prevents it. */
import type { When } from '../config/config.ts';
import { systemClock } from '../kit/clock.ts';
import { ServiceError, toError } from '../kit/errors.ts';
import type { Body, DeliveryId, HeaderPair, NewRequest } from '../model/delivery.ts';
import type { Direction, Packet, PacketId, Stanza } from '../model/packet.ts';
import { packetFrom } from '../packet/from-xml.ts';
import { createJidReader, type ReadJid } from '../packet/jid.ts';
import { isReport, typeOf } from '../packet/kind.ts';
import { isGroupchat, roomOf } from '../packet/room.ts';
import { parseStanza } from '../packet/xml/parse.ts';
import { createEventBus } from '../telemetry/events.ts';
import { unwatched } from './call.ts';
import { createContexts } from './context.ts';
import { type EvaluationOptions, HandlerEvaluator } from './evaluate.ts';
import { entriesOf, explainRules, type RuleFinding } from './explain.ts';
import type { LoadedHandler } from './handler.ts';

export interface TrialOptions extends Pick<EvaluationOptions, 'limits'> {
  readonly xml: string;
  readonly direction: Direction;
  /** Default: the domain of the local user. */
  readonly host: string | undefined;
  /** The occupant who wrote a room message that is routed to a user; default: unknown. */
  readonly sender?: string | undefined;
  /** The connected clients of the receiver; default: unknown. */
  readonly sessions?: number | undefined;
}

export interface Trial {
  readonly result: TrialResult;
  /** Every rule of the handler, whether it matches or not. */
  readonly rules: readonly RuleFinding[];
}

/** `reason`: the key of the handler or the callback that prevents the request; `detail`: the same in words. */
export type TrialResult =
  | { readonly kind: 'declined' | 'failed'; readonly reason: string; readonly detail: string }
  | {
      readonly kind: 'request';
      readonly method: string;
      readonly path: string;
      readonly headers: readonly HeaderPair[];
      readonly body: Body;
    };

/** Throws STANZA_INVALID if the text is not one stanza, USAGE if the options do not fit it. */
export async function tryHandler(handler: LoadedHandler, { limits, ...options }: TrialOptions): Promise<Trial> {
  const packet = packetOf(options);
  const rules = explainRules(handler.config, packet);
  return { result: prevention(handler, packet, rules) ?? (await evaluate(handler, packet, limits)), rules };
}

async function evaluate(handler: LoadedHandler, packet: Packet, limits: TrialOptions['limits']): Promise<TrialResult> {
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

function requestOf({ target: { method, path, headers }, body }: NewRequest): TrialResult {
  return { kind: 'request', method, path, headers, body };
}

const origin = 'try';

/** A packet as a tap would report it; the domain of the local user is the default host. */
function packetOf({ xml, direction, host, sender, sessions }: Omit<TrialOptions, 'limits'>): Packet {
  const stanza = readStanza(xml);
  const now = systemClock.now();
  const readJid = createJidReader({ size: 3 });
  const local = direction === 'in' ? stanza.attrs['from'] : stanza.attrs['to'];
  const named = host ?? (local === undefined ? '' : readJid(local).jid.server);
  if (named === '') throw new ServiceError('USAGE', `the stanza has no "${direction === 'in' ? 'from' : 'to'}": give --host`);
  if (sender !== undefined) checkSender(stanza, direction, readJid(sender));
  if (sessions !== undefined && direction === 'in')
    throw new ServiceError('USAGE', '--sessions counts clients of the receiver: give --dir out');
  const session = direction === 'in' ? local : undefined;
  const report = { sender, sessions };
  const seen = { stanza, direction, host: named.toLowerCase(), session, ...report, bytes: Buffer.byteLength(xml), key: origin };
  return packetFrom(seen, { id: origin as PacketId, origin, receivedAt: now }, readJid).packet;
}

function checkSender(stanza: Stanza, direction: Direction, { jid, prepared }: ReadJid): void {
  if (!isGroupchat(stanza) || direction === 'in')
    throw new ServiceError(
      'USAGE',
      '--sender is the author of a room message as it is routed to an occupant: type groupchat, and --dir out',
    );
  if (!prepared || jid.user === '') throw new ServiceError('USAGE', '--sender: expected the JID of a user, such as alice@example.org');
}

/** A stanza that is copied from a log often lacks its namespace. */
function readStanza(xml: string): Stanza {
  try {
    return parseStanza(xml.replace(/^\uFEFF?\s*(?:<\?xml[^>]*\?>)?\s*/, ''), { namespaces: { '': 'jabber:client' } });
  } catch (thrown) {
    throw new ServiceError('STANZA_INVALID', `the file is not one stanza as XML: ${toError(thrown).message}`);
  }
}

/** The first rule that prevents a match, `event` and `kind` before the others, and the same in words; undefined if all match. */
function prevention(handler: LoadedHandler, packet: Packet, rules: readonly RuleFinding[]): TrialResult | undefined {
  const { name, hosts, when = {} } = handler.config;
  if (!hosts.includes(packet.host))
    return declined('host', `handler ${name} serves ${hosts.join(', ') || 'no host'}, and the stanza belongs to ${packet.host}`);
  const failed = new Set(rules.filter(({ matches }) => !matches).map(({ rule }) => rule));
  const [first] = entriesOf(when)
    .filter(([key]) => failed.has(key))
    .sort(([one], [other]) => Number(shapeKeys.has(other)) - Number(shapeKeys.has(one)));
  if (first !== undefined) {
    const [key, value] = first;
    const effect = key === 'not' ? 'excludes' : 'does not match';
    return declined(nameOf(key, value), `the rule ${key} = ${JSON.stringify(value)} ${effect} ${describe(packet)}`);
  }
  if (handler.matches(packet)) return undefined;
  if (isReport(packet.event)) return declined('event', `only a rule with event = ["${packet.event}"] matches this report`);
  return declined('respect_hints', 'the stanza asks not to be stored (XEP-0334), and the handler has respect_hints');
}

const shapeKeys: ReadonlySet<string> = new Set(['event', 'kind']);

/** `not.type` for a `not` with the one key `type`; a `not` with several keys excludes a packet only by all of them together. */
function nameOf(key: string, value: unknown): string {
  const [only, ...others] = key === 'not' ? entriesOf(value as When) : [];
  return only === undefined || others.length > 0 ? key : `${key}.${nameOf(...only)}`;
}

function declined(reason: string, detail: string): TrialResult {
  return { kind: 'declined', reason, detail };
}

/** What the rules see of a packet, without its text. */
function describe(packet: Packet): string {
  const { direction, stanza, event, kind, from, to, sender } = packet;
  const room = roomOf(packet);
  const inRoom = room === undefined ? '' : `, room ${room}, sender ${(sender ?? from).bare}`;
  return `this ${stanza.name}: direction ${direction}, type ${typeOf(stanza) || 'none'}, event ${event}, kind ${kind}, from ${from.bare}, to ${to.bare}${inRoom}`;
}
