/**
 * A session is one connection as one handler of the pool sees it: connection open → initSession → messages, one at a time →
 * connection closed, and its message over → destroySession.
 */
import type { Socket } from 'node:net';
import { createDeferred } from '../../src/kit/lifecycle.ts';
import { type ConnectionSession, HTTP_INTERNAL_FAIL, type Session } from '../callbacks.ts';
import type { Dial } from '../connection.ts';
import type { CallbackCaller, HandlerModule } from './handler-module.ts';

type Modules = ReadonlyMap<string, HandlerModule>;

/** The properties of a session that belong to one message. */
type MessageProperties = Omit<Session, keyof ConnectionSession>;

/** A session with a message on it. */
export interface OccupiedSession {
  readonly session: Session;
  /** The message is over. */
  leave(): void;
}

/** The sessions of all connections of a pool thread. */
export class Sessions {
  readonly #modules: Modules;
  readonly #caller: CallbackCaller;
  readonly #connections = new WeakMap<Socket, SessionsOfConnection>();
  readonly #open = new Set<Promise<void>>();

  constructor(modules: Modules, caller: CallbackCaller) {
    this.#modules = modules;
    this.#caller = caller;
  }

  /** Wraps a dial: each connection has sessions from when it opens until it closes. */
  wrap(dial: Dial): Dial {
    return (onOpened) =>
      dial((...result) => {
        const [, socket] = result;
        if (socket !== undefined) this.#begin(socket);
        onOpened(...result);
      });
  }

  /**
   * Puts a message on an open connection; undefined if `initSession` of its handler failed there. A connection that closes keeps
   * its sessions until `leave`.
   */
  async enter(socket: Socket, module: HandlerModule, message: MessageProperties): Promise<OccupiedSession | undefined> {
    return this.#connections.get(socket)?.enter(module, message);
  }

  /** Resolves when every connection is closed and every `destroySession` is over. */
  async ended(): Promise<void> {
    await Promise.all(this.#open);
  }

  #begin(socket: Socket): void {
    const sessions = new SessionsOfConnection(this.#modules, this.#caller);
    this.#connections.set(socket, sessions);
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    const over = closed.then(() => sessions.end()).finally(() => this.#open.delete(over));
    this.#open.add(over);
  }
}

interface BegunSession {
  readonly session: ConnectionSession;
  /** False if `initSession` failed. */
  readonly initialised: Promise<boolean>;
}

/** The sessions of one connection, one for each handler. */
class SessionsOfConnection {
  readonly #caller: CallbackCaller;
  readonly #begun: ReadonlyMap<HandlerModule, BegunSession>;
  /** Resolves when the current message has left. */
  #left = Promise.resolve();

  constructor(modules: Modules, caller: CallbackCaller) {
    this.#caller = caller;
    this.#begun = new Map([...modules.values()].map((module) => [module, beginSession(module, caller)]));
  }

  async enter(module: HandlerModule, message: MessageProperties): Promise<OccupiedSession | undefined> {
    const left = createDeferred<void>();
    this.#left = left.promise;
    const begun = this.#begun.get(module);
    if (begun === undefined || !(await begun.initialised)) {
      left.resolve();
      return undefined;
    }
    const { session } = begun;
    return {
      session: addProperties(session, message),
      leave: () => {
        removeProperties(session);
        left.resolve();
      },
    };
  }

  async end(): Promise<void> {
    await this.#left;
    for (const [module, { session, initialised }] of this.#begun) {
      await initialised;
      const call = { module, callback: 'destroySession', id: undefined } as const;
      await this.#caller.call({ ...call, invoke: (callbacks) => callbacks.destroySession?.(session) });
    }
  }
}

function beginSession(module: HandlerModule, caller: CallbackCaller): BegunSession {
  const session: ConnectionSession = { userdata: undefined, opts: module.opts };
  const subject = { module, callback: 'initSession', id: undefined } as const;
  const initialised = caller.call({ ...subject, invoke: (callbacks) => callbacks.initSession?.(session) }).then((called) => {
    if (called.kind === 'failed') return false;
    if (called.value === HTTP_INTERNAL_FAIL) caller.report(subject, new Error('it returned HTTP_INTERNAL_FAIL'));
    return called.value !== HTTP_INTERNAL_FAIL;
  });
  return { session, initialised };
}

const perMessage = ['message', 'request', 'response'] as const satisfies (keyof MessageProperties)[];

/** The properties are read-only: the module changes the objects that will be sent, and cannot replace them. */
function addProperties(session: ConnectionSession, message: MessageProperties): Session {
  for (const name of perMessage) {
    Object.defineProperty(session, name, { value: message[name], configurable: true, enumerable: true });
  }
  return session as Session; // the loop has completed it
}

function removeProperties(session: ConnectionSession): void {
  for (const name of perMessage) Reflect.deleteProperty(session, name);
}
