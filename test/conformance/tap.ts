import type { ComponentLogin } from '../support/component-socket.ts';
import type { UserLogin, XmppUser } from '../support/xmpp-user.ts';

/** A kind of chat server that our module runs on. Every tap keeps the same promises; `keeps…`, `sees…` hold one to them. */
export interface TapServer {
  readonly name: string;
  /** Whether it can run on this machine; its tests are skipped when it cannot. */
  readonly isHere: boolean;
  /** What a chat message of 2000 characters takes in its queue, roughly. */
  readonly messageBytes: number;
  start(settings?: TapSettings): Promise<TappedServer>;
}

/** One that runs, with the users alice, bob and carol on each virtual host if not told, and the component pusher.localhost. */
export interface TappedServer extends AsyncDisposable {
  readonly component: ComponentLogin;
  connect(login: Omit<UserLogin, 'port'>): Promise<XmppUser>;
  /** Ends it as an administrator does, and starts it again. */
  restart(): Promise<void>;
  /** Ends it as a crash does. */
  kill(): Promise<void>;
  /** Starts it again after `kill`. */
  start(): Promise<void>;
  /** Stops our module and loads it again, without what it knew. */
  loadAnew(): Promise<void>;
  /** Sends a message that no user wrote. */
  announce(to: string, body: string): Promise<void>;
  /** Lets a second connection of the component in beside the first; absent where it does so by itself. */
  letAnotherIn?(): Promise<void>;
  /** Resolves when it has noticed that the component's connection is gone. */
  missesComponent(): Promise<void>;
  /** Resolves when it has noticed that this user's connection is gone, and keeps its place. */
  missesUser(jid: string): Promise<void>;
}

export interface TapSettings {
  readonly hosts?: readonly string[];
  /** A domain of rooms. */
  readonly rooms?: string;
  /** A second component, with the same secret. */
  readonly otherComponent?: string;
  readonly queueBytes?: number;
  readonly window?: number;
  /** Whether what users say is archived, default true. */
  readonly archive?: boolean;
  /** Whether its queue is kept on disk too, default false. */
  readonly disk?: boolean;
  /** Passwords by name. */
  readonly users?: Readonly<Record<string, string>>;
  /** How long it keeps the place of a client that is lost (XEP-0198). */
  readonly keepsPlaceSeconds?: number;
}
