import type { Line } from './conversation.ts';

/** A chat server with a tap, a component that may attach, and the accounts of the conversation. */
export interface ChatServer {
  readonly host: string;
  /** What the service needs to attach. */
  readonly component: { readonly port: number; readonly domain: string; readonly secret: string };
  /** Who chats, and how. */
  readonly chatters: string;
  /** Logs the users in. */
  openChat(): Promise<Chat>;
  /** How somebody else's client can join in; undefined where there is no room for one. */
  readonly invitation: string | undefined;
  /** Throws when it has ended by itself. */
  assertRunning(): void;
}

export interface Chat {
  /** Says a line and resolves when the other one has it. */
  say(line: Line): Promise<void>;
}
