import { ServiceError } from '../kit/errors.ts';
import type { Answered, NewRequest } from '../model/delivery.ts';
import type { Packet } from '../model/packet.ts';
import type { FailedPacket } from '../spool/dead-letter.ts';
import type { EventSink } from '../telemetry/events.ts';
import { checkedBody, checkedHeaders, checkedWish } from './answers.ts';
import { type Call, CallbackFailure, type Caller } from './call.ts';
import type { PacketContext } from './context.ts';
import { andThen, type Eventually } from './eventually.ts';
import type { LoadedHandler } from './handler.ts';
import type { Leavings } from './leavings.ts';
import { type CallbackWatch, watched } from './watch.ts';

/** What came of one packet's meeting with one handler. */
export type Met =
  | { readonly kind: 'failed'; readonly letter: FailedPacket }
  | { readonly kind: 'unwanted' }
  | { readonly kind: 'wanted'; readonly delivery: NewRequest };

export interface Meet {
  /** Leads a packet past a handler: `when` → `shouldMakeReq` → `prepareHeaders` → `prepareBody`, or a question in place of the last two. */
  meet(handler: LoadedHandler, packet: Packet, context: PacketContext): Eventually<Met>;
  /** The second half of that, for a packet that a business server was asked about. */
  prepare(handler: LoadedHandler, packet: Packet, answered: AnsweredContext): Eventually<Met>;
}

/** What a request is prepared with; `answered` is what a business server answered, undefined where none was asked. */
export interface AnsweredContext {
  readonly context: PacketContext;
  readonly answered: Answered | undefined;
}

export interface MeetOptions {
  readonly call: Caller;
  readonly watch: CallbackWatch;
  readonly leavings: Leavings;
  readonly events: EventSink;
}

type Step<T> = Pick<Call<T>, 'callback' | 'check' | 'invoke'>;

const unwanted: Met = { kind: 'unwanted' };

/** What it makes never throws and never rejects. */
export function createMeet({ call, watch, leavings, events }: MeetOptions): Meet {
  function meet(handler: LoadedHandler, packet: Packet, context: PacketContext): Eventually<Met> {
    return guarded(handler, packet, () => {
      if (isStruckOut(handler, packet)) return skip(handler, packet);
      if (!lets(handler, packet)) return unwanted;
      return andThen(ask(handler, packet, context), (wanted) => (wanted ? goOn(handler, packet, context) : unwanted));
    });
  }

  function goOn(handler: LoadedHandler, packet: Packet, context: PacketContext): Eventually<Met> {
    const { beforePush } = handler.config;
    if (beforePush === undefined) return prepare(handler, packet, { context, answered: undefined });
    return { kind: 'wanted', delivery: leavings.ask(handler, packet, beforePush) };
  }

  function guarded(handler: LoadedHandler, packet: Packet, lead: () => Eventually<Met>): Eventually<Met> {
    const failed = (thrown: unknown) => fail(handler, packet, thrown);
    try {
      const met = lead();
      return met instanceof Promise ? met.catch(failed) : met;
    } catch (thrown) {
      return failed(thrown);
    }
  }

  function isStruckOut({ config }: LoadedHandler, { key }: Packet): boolean {
    return watch.struckOut(config.name, key);
  }

  /** A handler without `when` is not watched, since the watch costs more than its rule. */
  function lets(handler: LoadedHandler, packet: Packet): boolean {
    const { name, when } = handler.config;
    return when === undefined ? handler.lets(packet) : watched(watch, { handler: name, packetKey: packet.key }, () => handler.lets(packet));
  }

  function ask(handler: LoadedHandler, packet: Packet, context: PacketContext): Eventually<boolean> {
    const asked = context.asked(handler);
    const invoke = () => handler.callbacks.shouldMakeReq(asked);
    return step(handler, packet, { callback: 'shouldMakeReq', invoke, check: checkedWish });
  }

  function prepare(handler: LoadedHandler, packet: Packet, { context, answered }: AnsweredContext): Eventually<Met> {
    const prepared = context.prepared(handler);
    const { callbacks } = handler;

    const given = step(handler, packet, {
      callback: 'prepareHeaders',
      invoke: () => callbacks.prepareHeaders(prepared),
      check: checkedHeaders,
    });
    return andThen(given, (headers) => {
      const made = step(handler, packet, { callback: 'prepareBody', invoke: () => callbacks.prepareBody(prepared), check: checkedBody });
      return andThen(made, (body) => ({ kind: 'wanted', delivery: leavings.delivery(handler, packet, { headers, body, answered }) }));
    });
  }

  function step<T>({ builtIn, config }: LoadedHandler, { key }: Packet, made: Step<T>): Eventually<T> {
    // Our own modules neither block nor wait: they are spared the watch and the meter, which cost more than they do.
    const { callback, invoke, check } = made;
    return builtIn ? check(invoke()) : call({ handler: config.name, packetKey: key, callback, invoke, check });
  }

  function fail(handler: LoadedHandler, packet: Packet, thrown: unknown): Met {
    const error = thrown instanceof CallbackFailure ? thrown : new CallbackFailure('shouldMakeReq', thrown);
    events.emit('callback.failed', { handler: handler.config.name, callback: error.callback, packetId: packet.id, error });
    return { kind: 'failed', letter: leavings.letter(handler, packet, { reason: 'callback-failed', detail: error.message }) };
  }

  function skip(handler: LoadedHandler, packet: Packet): Met {
    const { name, callbackModule } = handler.config;
    const error = new ServiceError(
      'CALLBACK_BLOCKED',
      `handler ${name} (${callbackModule}) blocked the thread on this packet too often; it is skipped for this packet`,
    );
    events.emit('callback.failed', { handler: name, callback: 'shouldMakeReq', packetId: packet.id, error });
    return { kind: 'failed', letter: leavings.letter(handler, packet, { reason: 'callback-blocked', detail: error.message }) };
  }

  return {
    meet,
    prepare: (handler, packet, answered) =>
      guarded(handler, packet, () => (isStruckOut(handler, packet) ? skip(handler, packet) : prepare(handler, packet, answered))),
  };
}
