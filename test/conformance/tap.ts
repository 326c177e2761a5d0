import type { ComponentLogin } from '../support/component-socket.ts';
import type { UserLogin, XmppUser } from '../support/xmpp-user.ts';

/** A kind of chat server that our module runs on. Each tap must pass the same conformance tests. */
export interface TapServer {
  readonly name: string;
  /** Whether it is installed on this machine; if not, its tests are skipped. */
  readonly isHere: boolean;
  /** Approximate size of a chat message of 2000 characters in its queue. */
  readonly messageBytes: number;
  start(settings?: TapSettings): Promise<TappedServer>;
}

/** Starts one with the component pusher.localhost and, by default, the users alice, bob and carol on each virtual host. */
export interface TappedServer extends AsyncDisposable {
  readonly component: ComponentLogin;
  connect(login: Omit<UserLogin, 'port'>): Promise<XmppUser>;
  /** Restarts it regularly. */
  restart(): Promise<void>;
  /** Ends it without a shutdown. */
  kill(): Promise<void>;
  /** Starts it again after `kill`. */
  start(): Promise<void>;
  /** Reloads our module without its state. */
  loadAnew(): Promise<void>;
  /** Sends a message from the server itself. */
  announce(to: string, body: string): Promise<void>;
  /** Accepts a second connection of the component in addition to the first; absent if the server always does. */
  letAnotherIn?(): Promise<void>;
  /** Registers an account as a client does (XEP-0077); with `accounts` only. */
  register(user: string): Promise<void>;
  /** Resolves when it has detected the end of the component's connection. */
  lostComponent(): Promise<void>;
  /** Resolves when it has detected the loss of this user's connection, with the session in the resumption timeout. */
  lostUser(jid: string): Promise<void>;
}

export interface TapSettings {
  readonly hosts?: readonly string[];
  /** The domain of the rooms. */
  readonly rooms?: string;
  /** A second component, with the same secret. */
  readonly otherComponent?: string;
  readonly queueBytes?: number;
  readonly window?: number;
  /** Members of a room who are considered for each of its messages. */
  readonly maxMembers?: number;
  /** Silence after which the feed of a pusher that answers no probe is given to another. */
  readonly frozenSeconds?: number;
  /** Whether messages are archived; default true. */
  readonly archive?: boolean;
  /** Whether the queue is also on disk; default false. */
  readonly disk?: boolean;
  /** Whether clients can register and delete accounts (XEP-0077); default false. */
  readonly accounts?: boolean;
  /** Passwords by user name. */
  readonly users?: Readonly<Record<string, string>>;
  /** The resumption timeout of a lost client (XEP-0198). */
  readonly resumptionSeconds?: number;
}
