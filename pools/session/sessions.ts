/**
 * One session is one connection, as each handler of the pool knows it: it stands → initSession → message after message →
 * it is gone, and the message on it is over → destroySession.
 */
import type { Socket } from 'node:net';
import { createDeferred } from '../../src/kit/lifecycle.ts';
import { type ConnectionSession, HTTP_INTERNAL_FAIL, type Session } from '../callbacks.ts';
import type { Dial } from '../dial.ts';
import type { CallbackCaller } from './call-callback.ts';
import type { HandlerModule } from './load-modules.ts';

export interface Sessions {
  /** The same connections, each with its sessions from when it stands to when it is gone. */
  over(dial: Dial): Dial;
  /**
   * Puts a message on a connection that stands. Undefined: its handler's `initSession` went wrong there. A connection
   * that goes keeps its sessions until `leave`.
   */
  enter(socket: Socket, module: HandlerModule, message: OnSession): Promise<Seat | undefined>;
  /** Resolves when every connection is gone and every `destroySession` over. */
  ended(): Promise<void>;
}

/** What a session has for the time of one message. */
export type OnSession = Omit<Session, keyof ConnectionSession>;

export interface Seat {
  readonly session: Session;
  leave(): void;
}

export function createSessions(modules: ReadonlyMap<string, HandlerModule>, caller: CallbackCaller): Sessions {
  const connections = new WeakMap<Socket, ConnectionSessions>();
  const open = new Set<Promise<void>>();

  function begin(socket: Socket): void {
    const sessions = beginSessions(modules, caller);
    connections.set(socket, sessions);
    const gone = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    const over = gone.then(sessions.end).finally(() => open.delete(over));
    open.add(over);
  }

  return {
    over: (dial) => (opened) =>
      dial((...result) => {
        const [, socket] = result;
        if (socket !== undefined) begin(socket);
        opened(...result);
      }),
    enter: async (socket, module, message) => connections.get(socket)?.enter(module, message),
    ended: async () => {
      await Promise.all(open);
    },
  };
}

/** The sessions of one connection. */
interface ConnectionSessions {
  enter(module: HandlerModule, message: OnSession): Promise<Seat | undefined>;
  end(): Promise<void>;
}

function beginSessions(modules: ReadonlyMap<string, HandlerModule>, caller: CallbackCaller): ConnectionSessions {
  let vacated = Promise.resolve();
  const begun = new Map([...modules.values()].map((module) => [module, beginSession(module, caller)]));

  async function enter(module: HandlerModule, message: OnSession): Promise<Seat | undefined> {
    const left = createDeferred<void>();
    vacated = left.promise;
    const begunSession = begun.get(module);
    if (begunSession === undefined || !(await begunSession.initialised)) {
      left.resolve();
      return undefined;
    }
    const { session } = begunSession;
    return {
      session: occupy(session, message),
      leave: () => {
        vacate(session);
        left.resolve();
      },
    };
  }

  async function end(): Promise<void> {
    await vacated;
    for (const [module, { session, initialised }] of begun) {
      await initialised;
      await caller.call({ module, callback: 'destroySession', id: undefined, invoke: (callbacks) => callbacks.destroySession?.(session) });
    }
  }

  return { enter, end };
}

interface BegunSession {
  readonly session: ConnectionSession;
  /** False where `initSession` went wrong. */
  readonly initialised: Promise<boolean>;
}

function beginSession(module: HandlerModule, caller: CallbackCaller): BegunSession {
  const session: ConnectionSession = { userdata: undefined, opts: module.opts };
  const about = { module, callback: 'initSession', id: undefined } as const;
  const initialised = caller.call({ ...about, invoke: (callbacks) => callbacks.initSession?.(session) }).then((called) => {
    if (called.kind === 'failed') return false;
    if (called.value === HTTP_INTERNAL_FAIL) caller.complain(about, new Error('it gave HTTP_INTERNAL_FAIL'));
    return called.value !== HTTP_INTERNAL_FAIL;
  });
  return { session, initialised };
}

const perMessage = ['message', 'request', 'response'] as const satisfies (keyof OnSession)[];

/** They cannot be put in each other's place: what is sent is what we gave. */
function occupy(session: ConnectionSession, message: OnSession): Session {
  for (const name of perMessage) {
    Object.defineProperty(session, name, { value: message[name], configurable: true, enumerable: true });
  }
  return session as Session; // it has them now
}

function vacate(session: ConnectionSession): void {
  for (const name of perMessage) Reflect.deleteProperty(session, name);
}
