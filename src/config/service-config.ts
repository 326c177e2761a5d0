/**
 * The effective configuration: every default filled in, every file read, every path absolute, every `${…}` replaced.
 * `load.ts` builds it from TOML.
 */
import type { PoolTls } from '../../pools/contract.ts';
import type { ListenerTls } from '../kit/listener-tls.ts';
import type { TokenRate } from '../kit/pacing.ts';
import type { Secret } from '../kit/secret.ts';
import type { CallbackLimits, ComponentAttachment, HandlerConfig, PoolConfig, SpoolConfig, XmppConnection } from './config.ts';
import type { EgressConfig } from './egress.ts';
import type { Environment } from './environment.ts';
import type { FileStates } from './named-files.ts';

export interface Config {
  /** The configuration file, absolute. */
  readonly file: string;
  /** Domains whose users are local: the union of `general.hosts` and the attachments' hosts. */
  readonly hosts: readonly string[];
  readonly logLevel: LogLevel;
  /** Whether the log names the users of deliveries. */
  readonly log: { readonly jids: boolean };
  readonly attachments: readonly Attachment[];
  readonly pools: readonly PoolConfig[];
  readonly egress: EgressConfig;
  /** In file order, the order in which packets are evaluated. */
  readonly handlers: readonly HandlerConfig[];
  readonly callbacks: CallbackLimits;
  readonly spool: SpoolConfig;
  readonly history: HistoryConfig;
  readonly admin: ListenConfig;
  /** Undefined: chat servers cannot ask about messages. */
  readonly gate: GateConfig | undefined;
  readonly metrics: { readonly mongooseim: boolean; readonly token: Secret | undefined };
  /** How long SIGTERM waits for requests in flight, ms. */
  readonly drainTimeoutMs: number;
  /** One sentence for each setting that is skipped, has no effect, or differs from MongooseIM. */
  readonly notices: readonly string[];
  /** Texts that must not be printed: values of references and of secret keys. */
  readonly redacted: readonly Secret[];
  /** Reads the files that it names again, and not the configuration file itself, which may be half edited. Throws as `loadConfig` does. */
  readonly renewed: (env: Environment) => Promise<Config>;
  /** The files that it names, as they were when they were read. */
  readonly files: FileStates;
}

/** Record of settled events. */
export interface HistoryConfig {
  readonly enabled: boolean;
  readonly maxAgeMs: number;
  readonly maxBytes: number;
  /** Whether bodies of requests are recorded. */
  readonly bodies: boolean;
}

export type LogLevel = 'debug' | 'error' | 'fatal' | 'info' | 'silent' | 'warn';

export type Attachment = ClientAttachment | ComponentAttachment | ExitsAttachment | HttpAttachment;

/** An ordinary account on a server. */
export interface ClientAttachment extends XmppConnection {
  readonly type: 'client';
  readonly name: string;
  /** Host and port of the server's client listener. */
  readonly service: { readonly host: string; readonly port: number };
  /** `direct`: TLS from the first byte; `starttls`: required, never skipped; `plain`: no TLS. */
  readonly encryption: 'direct' | 'plain' | 'starttls';
  readonly tls: PoolTls;
  /** As written; the server prepares it. */
  readonly jid: { readonly user: string; readonly domain: string };
  readonly password: Secret;
  readonly resource: string;
  /** Presence priority; below 0 the account's other clients still receive every message (RFC 6121 §8.5.2.1). */
  readonly priority: number;
  /** Rooms to join. */
  readonly rooms: readonly { readonly jid: string; readonly nick: string }[];
  /** Whether to receive copies of the other clients' messages (XEP-0280). */
  readonly carbons: boolean;
  /** Whether to read missed messages from the archives (XEP-0313). */
  readonly archive: boolean;
  /** Local virtual hosts of its packets; a packet of no listed host counts for the first one. */
  readonly hosts: readonly string[];
}

/** A listener for the posts of MongooseIM's `mod_event_pusher_http`. */
export interface HttpAttachment extends HttpIntake {
  readonly type: 'http';
  readonly name: string;
  /** Port 0 takes any free port. */
  readonly listen: { readonly host: string; readonly port: number };
  /** The path of the requests; starts with `/`. */
  readonly path: string;
  /** Required Basic credentials (RFC 7617); undefined: no authentication. */
  readonly credentials: { readonly username: string; readonly password: Secret } | undefined;
  /** Local virtual hosts of this server. */
  readonly hosts: readonly string[];
}

/**
 * Listeners whose requests descriptors route to program units. In the file: `type = "http"` with `descriptors`.
 * The words are those of openUTM's HTTP-DESCRIPTOR and PROGRAM statements.
 */
export interface ExitsAttachment extends HttpIntake {
  readonly type: 'exits';
  readonly name: string;
  readonly listeners: readonly Listener[];
  readonly descriptors: readonly Descriptor[];
  /** Users for descriptors with Basic authentication. */
  readonly users: readonly Credential[];
  /** Origins (RFC 6454) of web pages that may send requests; requests from other pages are rejected. */
  readonly origins: readonly string[];
  /** Local virtual hosts whose users may be named as senders. */
  readonly hosts: readonly string[];
  /** The attachment that sends for SENDMSG; undefined if no descriptor needs one. */
  readonly sendThrough: string | undefined;
  /** Maximum number of header fields of a request. */
  readonly maxHeaders: number;
  /** Limit for receiving a complete request, ms. */
  readonly requestTimeoutMs: number;
}

/** Limits of the listeners of one HTTP attachment. */
interface HttpIntake {
  /** Undefined: no TLS. */
  readonly tls?: ListenerTls | undefined;
  readonly maxBodyBytes: number;
  /** Maximum of bytes accepted but not yet on disk; at the limit requests are rejected. */
  readonly maxUncommittedBytes: number;
  /** Maximum number of connections of each listener. */
  readonly maxConnections: number;
  /** Undefined: no limit. */
  readonly rateLimit: TokenRate | undefined;
}

/** Port 0 takes any free port. */
export interface Listener {
  readonly name: string;
  readonly host: string;
  readonly port: number;
}

/** Links a path to an exit and to a program unit. */
export interface Descriptor {
  readonly name: string;
  /** Starts with `/`; a final `/*` matches every path below. */
  readonly path: string;
  /** The listener it belongs to; undefined: all listeners. */
  readonly listener: string | undefined;
  /** The transaction code that the program unit receives. */
  readonly tac: string;
  readonly unit: BuiltinUnit | UserModule;
  readonly exit: UserModule | { readonly kind: 'none' } | { readonly kind: 'system' };
  /** Whether text bodies are decoded by the charset of the request. */
  readonly convertText: boolean;
  readonly userAuth: 'basic' | 'none';
}

export interface BuiltinUnit {
  readonly kind: 'builtin';
  readonly name: 'PUSH' | 'SENDMSG' | 'STATUS';
}

/** A module of the user: its name as in the file, and the URL of the file or package. */
export interface UserModule {
  readonly kind: 'module';
  readonly name: string;
  readonly url: string;
}

/** A user's name with the password or its scrypt hash (RFC 7914). */
export type Credential =
  | { readonly kind: 'plain'; readonly user: string; readonly password: Secret }
  | { readonly kind: 'scrypt'; readonly user: string; readonly hash: ScryptHash };

export interface ScryptHash {
  /** The cost N is 2 to the power of this. */
  readonly log2Cost: number;
  readonly blockSize: number;
  readonly parallelization: number;
  /** Base64. */
  readonly salt: string;
  /** Base64. */
  readonly key: Secret;
}

/** The listener where chat servers ask about the messages that they hold. */
export interface GateConfig {
  /** Port 0 takes any free port. */
  readonly listen: { readonly host: string; readonly port: number };
  /** Required bearer token (RFC 6750); undefined: no authentication. */
  readonly token: Secret | undefined;
  readonly tls?: ListenerTls | undefined;
  /** Limit for all callbacks of one message together, ms. */
  readonly timeoutMs: number;
  readonly maxBodyBytes: number;
  /** Maximum number of connections; each waiting sender takes one. */
  readonly maxConnections: number;
}

export interface ListenConfig {
  readonly host: string;
  readonly port: number;
  readonly token: Secret | undefined;
  readonly tls?: ListenerTls | undefined;
  /** Further tokens, only of `[admin]`. */
  readonly tokens?: readonly AccessToken[];
  readonly maxConnections: number;
}

/** A token of `[admin] tokens`, known by its hash. */
export interface AccessToken {
  readonly name: string;
  /** `read`: may change nothing. */
  readonly role: 'operate' | 'read';
  /** Whether it may see content. */
  readonly content: boolean;
  /** SHA-256 of the token in 64 hexadecimal digits. */
  readonly hash: string;
}
