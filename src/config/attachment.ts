import type { PoolTls } from '../../pools/contract.ts';
import type { TokenRate } from '../kit/pacing.ts';
import type { Secret } from '../kit/secret.ts';
import type { ExitsAttachment } from './exits.ts';

export type Attachment = ClientAttachment | ComponentAttachment | ExitsAttachment | HttpAttachment;

/** An ordinary account on a server. */
export interface ClientAttachment {
  readonly type: 'client';
  readonly name: string;
  /** Host and port of the server's listener for clients. */
  readonly service: { readonly host: string; readonly port: number };
  /** `direct`: TLS from the first byte; `starttls`: required, never skipped; `plain`: none. */
  readonly encryption: 'direct' | 'plain' | 'starttls';
  readonly tls: PoolTls;
  /** As written; the server prepares it. */
  readonly jid: { readonly user: string; readonly domain: string };
  readonly password: Secret;
  readonly resource: string;
  /** Of its presence; below 0 it takes no message away from the account's other clients (RFC 6121 §8.5.2.1). */
  readonly priority: number;
  /** Rooms that it joins. */
  readonly rooms: readonly { readonly jid: string; readonly nick: string }[];
  /** Whether it sees what the account's other clients send and receive (XEP-0280). */
  readonly carbons: boolean;
  /** Whether it reads what it has missed from the archives (XEP-0313). */
  readonly archive: boolean;
  /** Local virtual hosts that its packets may belong to; the first one takes what belongs to no other. */
  readonly hosts: readonly string[];
  readonly maxStanzaBytes: number;
  /** Bytes received but not yet on disk, at most: then the socket is not read. */
  readonly maxUncommittedBytes: number;
  /** A ping is sent after so long a silence; no answer within `pingTimeoutMs` ends the connection. */
  readonly pingIntervalMs: number;
  readonly pingTimeoutMs: number;
  /** Bounds a login. */
  readonly connectTimeoutMs: number;
  /** Reconnect waits double from 1 s up to this. */
  readonly reconnectCapMs: number;
}

export interface ComponentAttachment {
  readonly type: 'component';
  readonly name: string;
  /** The XEP-0114 listeners of the server's nodes: one for most, and one for each node of a cluster. */
  readonly nodes: readonly ComponentNode[];
  /** The component's own domain. */
  readonly domain: string;
  readonly secret: Secret;
  readonly feed: 'direct' | 'service_log' | 'tap';
  /** Local virtual hosts that this server serves. */
  readonly hosts: readonly string[];
  readonly maxStanzaBytes: number;
  /** Bytes received but not yet on disk, at most: then the socket is not read. */
  readonly maxUncommittedBytes: number;
  /** A ping is sent after so long a silence; no answer within `pingTimeoutMs` ends the connection. */
  readonly pingIntervalMs: number;
  readonly pingTimeoutMs: number;
  readonly connectTimeoutMs: number;
  /** Reconnect waits double from 1 s up to this. */
  readonly reconnectCapMs: number;
}

export interface ComponentNode {
  /** What the address is called to people: `xmpp://host:port`. */
  readonly name: string;
  readonly host: string;
  readonly port: number;
}

/** A listener for the posts of MongooseIM's `mod_event_pusher_http`. */
export interface HttpAttachment {
  readonly type: 'http';
  readonly name: string;
  /** Port 0 takes any free one. */
  readonly listen: { readonly host: string; readonly port: number };
  /** What requests must ask for; starts with `/`. */
  readonly path: string;
  /** What requests must show (RFC 7617); undefined: anybody who reaches the listener may post. */
  readonly credentials: { readonly username: string; readonly password: Secret } | undefined;
  /** Local virtual hosts that this server serves. */
  readonly hosts: readonly string[];
  readonly maxBodyBytes: number;
  /** Bytes taken but not yet on disk, at most: then requests are turned away. */
  readonly maxUncommittedBytes: number;
  readonly maxConnections: number;
  /** Undefined: no limit. */
  readonly rateLimit: TokenRate | undefined;
}
