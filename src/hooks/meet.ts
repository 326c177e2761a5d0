import { ServiceError } from '../kit/errors.ts';
import type { Packet } from '../packet/packet.ts';
import type { StillBorn } from '../spool/dead-letter.ts';
import type { NewRequest } from '../spool/spool.ts';
import type { EventSink } from '../telemetry/events.ts';
import { checkedBody, checkedHeaders, checkedWish } from './answers.ts';
import { type Call, CallbackFailure, type Caller } from './call.ts';
import type { PacketContext } from './context.ts';
import { andThen, type Eventually } from './eventually.ts';
import type { LoadedHandler } from './handler.ts';
import type { Leavings } from './leavings.ts';
import type { CallbackWatch } from './watch.ts';

/** What came of one packet's meeting with one handler. */
export type Met =
  | { readonly kind: 'failed'; readonly letter: StillBorn }
  | { readonly kind: 'unwanted' }
  | { readonly kind: 'wanted'; readonly delivery: NewRequest };

export type Meet = (handler: LoadedHandler, packet: Packet, context: PacketContext) => Eventually<Met>;

export interface MeetOptions {
  readonly call: Caller;
  readonly watch: CallbackWatch;
  readonly leavings: Leavings;
  readonly events: EventSink;
}

type Step<T> = Pick<Call<T>, 'callback' | 'check' | 'invoke'>;

const unwanted: Met = { kind: 'unwanted' };

/** Leads a packet past a handler: `when` → `shouldMakeReq` → `prepareHeaders` → `prepareBody`. Never throws, never rejects. */
export function createMeet({ call, watch, leavings, events }: MeetOptions): Meet {
  return (handler, packet, context) => {
    const failed = (thrown: unknown) => fail(handler, packet, thrown);

    try {
      if (!handler.lets(packet)) return unwanted;
      if (!handler.builtIn && watch.struckOut(handler.config.name, packet.key)) return skip(handler, packet);

      const met = andThen(ask(handler, packet, context), (wanted) => (wanted ? prepare(handler, packet, context) : unwanted));
      return met instanceof Promise ? met.catch(failed) : met;
    } catch (thrown) {
      return failed(thrown);
    }
  };

  function ask(handler: LoadedHandler, packet: Packet, context: PacketContext): Eventually<boolean> {
    const asked = context.asked(handler);
    const invoke = () => handler.callbacks.shouldMakeReq(asked);
    return step(handler, packet, { callback: 'shouldMakeReq', invoke, check: checkedWish });
  }

  function prepare(handler: LoadedHandler, packet: Packet, context: PacketContext): Eventually<Met> {
    const prepared = context.prepared(handler);
    const { callbacks } = handler;

    const given = step(handler, packet, {
      callback: 'prepareHeaders',
      invoke: () => callbacks.prepareHeaders(prepared),
      check: checkedHeaders,
    });
    return andThen(given, (headers) => {
      const made = step(handler, packet, { callback: 'prepareBody', invoke: () => callbacks.prepareBody(prepared), check: checkedBody });
      return andThen(made, (body) => ({ kind: 'wanted', delivery: leavings.delivery(handler, packet, { headers, body }) }));
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
      `${callbackModule} of handler ${name} held the thread on this packet too often; it is not asked about it again`,
    );
    events.emit('callback.failed', { handler: name, callback: 'shouldMakeReq', packetId: packet.id, error });
    return { kind: 'failed', letter: leavings.letter(handler, packet, { reason: 'callback-blocked', detail: error.message }) };
  }
}
